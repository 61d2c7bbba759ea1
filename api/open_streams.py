"""How many streams are open at this process: in all, and of each account where accounts have limits.

A stream is counted while its response is being made, whatever ends it. What it says stands in `routes/stream`.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import TooManyStreams
from shared.settings import Settings

_SECONDS_UNTIL_ONE_MAY_END = 5


class OpenStreams:
    """Each holds a connection and some memory for as long as its client likes."""

    def __init__(self, settings: Settings) -> None:
        self._total = settings.max_streams
        self._of_one = settings.streams_per_account if settings.rate_limits else self._total
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, account_id: str) -> Iterator[None]:
        """Raises TooManyStreams when there is no room for it."""
        if self._open[account_id] >= self._of_one:
            raise _too_many(f"Your account has {self._of_one} open here. Close one, or follow fewer at once.")
        if self._open.total() >= self._total:
            raise _too_many("This server has no room for another one at the moment.")
        self._open[account_id] += 1
        try:
            yield
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]


def _too_many(why: str) -> TooManyStreams:
    return TooManyStreams(_SECONDS_UNTIL_ONE_MAY_END, f"Too many open streams. {why}")
