"""Whose turn it is to write to a database that has one writer: first within a process, then among all of a machine.

SQLite lets whoever finds it busy sleep and look again, up to a tenth of a second each time, so a process that writes
without a pause would keep the others out. What is written is not known here.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic

from shared.file_lock import try_lock, unlock

FILES = ("-next", "-turn")
"""What is added to the name of the database for the files beside it."""
_LOOK_SECONDS = 0.001
_STEP_IN_SECONDS = 0.3
"""After so long a process goes on without its turn: the one whose turn it is may have been stopped."""
_ALONE_SECONDS = 10.0
"""And for so long it asks nobody again."""


class WriteTurn:
    """Turns are for politeness: it is the database that keeps writers apart. So where the files cannot be opened, as
    those of another user, there are none between processes."""

    def __init__(self, database: Path) -> None:
        self._own = asyncio.Lock()
        self._last = asyncio.Lock()
        self._files: list[int] = []
        self._alone_until = 0.0
        with suppress(OSError):
            for ending in FILES:
                self._files.append(os.open(f"{database}{ending}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    @asynccontextmanager
    async def in_process(self, *, can_wait: bool) -> AsyncIterator[None]:
        """Of all that can wait one at a time gets in line, so the others wait for one of them at most."""
        async with AsyncExitStack() as line:
            if can_wait:
                await line.enter_async_context(self._last)
            await line.enter_async_context(self._own)
            yield

    @asynccontextmanager
    async def among_processes(self) -> AsyncIterator[None]:
        """To be held within that of the process, as briefly as can be."""
        if len(self._files) < len(FILES) or monotonic() < self._alone_until:
            yield
            return
        following, turn = self._files
        try:
            await self._line_up(following, turn)
            yield
        finally:
            if self._files:
                unlock(turn)

    async def _line_up(self, following: int, turn: int) -> None:
        """Nobody passes who is next: else a process with much to write would be back before it."""
        until = monotonic() + _STEP_IN_SECONDS
        try:
            for lock in (following, turn):
                while not try_lock(lock):
                    if monotonic() > until:
                        self._alone_until = monotonic() + _ALONE_SECONDS
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            if self._files:
                unlock(following)

    def close(self) -> None:
        files, self._files = self._files, []
        for file in files:
            os.close(file)
