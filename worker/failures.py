"""How a model fared lately: how long to wait before it is started again, and when it counts as unhealthy.

Starting it is the business of `resident`.
"""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from time import monotonic

from worker.events import SetupFailed, Unhealthy

UNHEALTHY_AFTER = 3
"""Failures in a row, after which predictions are refused instead of waiting for the next try."""
_GROWTH = 4.0
_LONGEST_SECONDS = 300.0


class Failures:
    """Those in a row: a start that failed, a process that died by itself. One success forgets them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.count = 0
        self.last: SetupFailed | None = None
        self._until = 0.0
        self.retry_at: datetime | None = None
        """For people; by this host's clock."""

    def add(self, failure: SetupFailed) -> None:
        """The first is followed by a new start at once: most deaths have to do with what was asked for."""
        self.count += 1
        self.last = failure
        wait = min(_GROWTH ** (self.count - 2), _LONGEST_SECONDS) * random.uniform(0.8, 1.2) if self.count > 1 else 0.0
        self._until = monotonic() + wait
        self.retry_at = datetime.now(UTC) + timedelta(seconds=wait)

    @property
    def is_unhealthy(self) -> bool:
        return self.count >= UNHEALTHY_AFTER

    @property
    def seconds_left(self) -> float:
        """Until it may be started again."""
        return max(0.0, self._until - monotonic())

    async def waited_out(self) -> None:
        """Returns when it may be started again; of an unhealthy model nobody waits for that: raises Unhealthy."""
        if self.last and self.is_unhealthy and self.seconds_left:
            raise Unhealthy(self.count, self.seconds_left, self.last)
        await asyncio.sleep(self.seconds_left)
