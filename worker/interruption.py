"""Something long that goes on and can be told to stop, whatever it is doing at that moment.

What it does is the business of whoever carries it out.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from worker.events import Canceled


class Interruptible:
    """A training, or a prediction of `pinion serve`."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self._stop: Callable[[], object] | None = None

    def interrupt(self) -> bool:
        """Harmless at any time; whether it was news."""
        is_news, self.is_interrupted = not self.is_interrupted, True
        if is_news and self._stop:
            self._stop()
        return is_news

    @contextmanager
    def stopped_by(self, stop: Callable[[], object]) -> Iterator[None]:
        """While inside, an interruption calls `stop`. One that came before does not: ask for it when entering."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    @asynccontextmanager
    async def preparation(self) -> AsyncIterator[None]:
        """Around what has to be done before it can run: an interruption ends it with Canceled, whenever it came."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                with self.stopped_by(lambda: limit.reschedule(0)):
                    if self.is_interrupted:
                        raise Canceled
                    yield
        except TimeoutError:
            if not limit.expired():
                raise
        if self.is_interrupted:
            raise Canceled
