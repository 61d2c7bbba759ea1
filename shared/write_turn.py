"""Whose turn it is to write to a database that has one writer: first within a process, then among all of a machine.

SQLite lets whoever finds it busy sleep and look again, up to a tenth of a second each time, so a process that writes
without a pause would keep the others out. What is written is not known here.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

from shared.file_lock import open_lock, try_lock, unlock

FILES = ("-next", "-turn")
"""What is added to the name of the database for the files beside it."""
_LOOK_SECONDS = 0.001
_STEP_IN_SECONDS = 0.3
"""After so long the database alone decides: the process whose turn it is may have been stopped."""


class WriteTurn:
    """Turns are for politeness: it is the database that keeps writers apart."""

    def __init__(self, database: Path) -> None:
        self._next, self._turn = (open_lock(Path(f"{database}{ending}")) for ending in FILES)
        self._own = asyncio.Lock()
        self._last = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, *, can_wait: bool) -> AsyncIterator[None]:
        """Of all of this process that can wait one at a time gets in line, so the others wait for one at most."""
        async with AsyncExitStack() as line:
            if can_wait:
                await line.enter_async_context(self._last)
            await line.enter_async_context(self._own)
            line.callback(unlock, self._turn)
            await self._wait_for_others()
            yield

    async def _wait_for_others(self) -> None:
        """Nobody passes who is next: else a process with much to write would be back before it."""
        until = monotonic() + _STEP_IN_SECONDS
        try:
            for lock in (self._next, self._turn):
                while not try_lock(lock) and monotonic() < until:  # noqa: ASYNC110 - another process rings no bell
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            unlock(self._next)

    def close(self) -> None:
        os.close(self._next)
        os.close(self._turn)
