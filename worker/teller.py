"""What the streams of this worker's predictions are told, of all in one go: first items at once, the rest at ticks.

What is told stands in `live`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from shared.database import Database
from shared.live import Chunk, Chunks
from shared.tasks import start
from worker.ticks import until_tick

_TICK_SECONDS = 0.05
"""Nobody sees tokens come faster."""
Say = Callable[[], Chunk | None]
"""What a prediction has brought forth since it was last asked."""
_log = structlog.get_logger()


class Teller:
    """One per process. What Redis does not take is found in the row later."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[Say, None] = {}
        self._over: asyncio.Future[None] | None = None
        """Of the round that those who wait are told in."""
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def soon(self, say: Say, *, at_once: bool) -> None:
        """There is something to be told."""
        self._waiting[say] = None
        if at_once:
            self._hurry.set()
        if self._task is None or self._task.done():
            self._task = start(self._work())

    async def told(self, say: Say) -> None:
        """Returns when all is told that it has to say by now."""
        self._over = self._over or asyncio.get_running_loop().create_future()
        self.soon(say, at_once=True)
        await asyncio.shield(self._over)

    async def _work(self) -> None:
        while self._waiting:
            with suppress(TimeoutError):
                async with asyncio.timeout(until_tick(_TICK_SECONDS)):
                    await self._hurry.wait()
            self._hurry.clear()
            waiting, self._waiting = self._waiting, {}
            over, self._over = self._over, None
            chunks = [chunk for say in waiting if (chunk := say())]
            await self._tell(chunks)
            if over:
                over.set_result(None)

    async def _tell(self, chunks: list[Chunk]) -> None:
        """Those that cannot be told hold up no others."""
        try:
            if chunks:
                await self._database.send([Chunks(chunks)])
        except Exception as error:
            _log.error("output not told", prediction_ids=[chunk.prediction_id for chunk in chunks], exc_info=error)
            for chunk in chunks if len(chunks) > 1 else []:
                await self._tell([chunk])
