"""Whether a model says that it is well: one question at a time, however many ask.

What healthcheck() is and where it runs is known in the runtime alone.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

LIMIT = timedelta(seconds=5)
_TIMED_OUT = f"Healthcheck failed: user-defined healthcheck timed out after {LIMIT.total_seconds():.1f} seconds"


class Health(NamedTuple):
    is_well: bool
    message: str | None = None


class HealthCheck:
    """`send` carries a frame to the model process."""

    def __init__(self, send: Callable[[dict[str, Any]], None], limit: timedelta = LIMIT) -> None:
        self._send = send
        self.complaint: str | None = None
        """What the last answer found fault with."""
        self._limit = limit
        self._number = 0
        self._answer: asyncio.Future[Health] | None = None
        self._impatience: asyncio.TimerHandle | None = None

    async def ask(self) -> Health:
        """Joins a question that is under way."""
        if self._answer is None:
            loop = asyncio.get_running_loop()
            self._answer = loop.create_future()
            self._number += 1
            self._send({"type": "healthcheck", "number": self._number})
            self._impatience = loop.call_later(self._limit.total_seconds(), self.hear, self._number, _TIMED_OUT)
        return await asyncio.shield(self._answer)

    def hear(self, number: int, error: str | None) -> None:
        """The answer to a question; one that comes too late is an answer to none."""
        if number == self._number:
            self._settle(Health(error is None, error))

    def close(self, why: str) -> None:
        """There will be no answer."""
        self._settle(Health(False, why))

    def _settle(self, health: Health) -> None:
        if self._impatience:
            self._impatience.cancel()
        if self._answer and not self._answer.done():
            self.complaint = None if health.is_well else health.message
            self._answer.set_result(health)
        self._answer = None
