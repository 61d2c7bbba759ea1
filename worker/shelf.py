"""Folders that are dear to make and used by many: each made once, held while it is used, and removed in the end.

All processes and hosts that share a shelf may do so at once. What is in a folder is the business of who makes it.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import time

from shared.file_lock import open_lock, try_lock

Say = Callable[[str], None]
"""Takes text for the build's log, as it comes."""

STAMP = "pinion-complete"
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(slots=True)
class Shelf:
    """One kind of folders, called `kind` in what is said about them.

    One that was cut short has no stamp and is never used; the stamp's time is that of the last use. Users are noted, so
    that what was once made for one is kept for it.
    """

    folder: Path
    kind: str
    is_whole: Callable[[Path], bool] = lambda folder: True
    """Whether a complete folder can still be used."""
    _held: dict[str, int] = field(default_factory=dict)

    async def noted(self, user: str, say: Say) -> Path | None:
        """What was made for a user, unless it is gone; held from now on."""
        note = self._notes / user
        if not note.is_symlink():
            return None
        name = os.readlink(note).rpartition("/")[2]
        async with self._alone(name, say):
            return await asyncio.to_thread(self._take, name)

    async def obtain(self, name: str, make: Callable[[Path], Awaitable[None]], say: Say, user: str | None) -> Path:
        """The complete folder, held from now on; of two who want it at once one makes it and the other waits."""
        async with self._alone(name, say):
            folder = await asyncio.to_thread(self._take, name)
            if folder:
                say(f"Using the {self.kind} {name[:12]}, which is there already.\n")
            else:
                folder = await self._make(name, make)
            if user:
                await asyncio.to_thread(self._note, user, name)
            return folder

    def remove_unused(self, is_needed: Callable[[str], bool], kept_seconds: float) -> list[str]:
        """Names of what was removed: not used for so long, not held, and noted for nobody who needs it. Blocks."""
        needed = set()
        for note in self._notes.glob("*"):
            if is_needed(note.name) or _age(note) < kept_seconds:
                needed.add(os.readlink(note).rpartition("/")[2])
            else:
                note.unlink(missing_ok=True)
        found = [entry.name for entry in self.folder.glob("*") if entry.is_dir() and entry != self._notes]
        return [name for name in found if name not in needed and self._remove(name, kept_seconds)]

    @property
    def _notes(self) -> Path:
        return self.folder / "versions"

    @asynccontextmanager
    async def _alone(self, name: str, say: Say) -> AsyncIterator[None]:
        """Alone with a folder, among all processes and hosts."""
        descriptor = open_lock(self.folder / f"{name}.lock")
        try:
            if not try_lock(descriptor):
                say(f"Waiting for another who makes the same {self.kind} …\n")
                while not try_lock(descriptor):  # noqa: ASYNC110 - another process rings no bell
                    await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _take(self, name: str) -> Path | None:
        folder = self.folder / name
        if not ((folder / STAMP).exists() and self.is_whole(folder)):
            return None
        (folder / STAMP).touch()
        self._hold(name)
        return folder

    def _hold(self, name: str) -> None:
        """Until this process ends. Nobody can have the lock alone now: that takes the one we have, too."""
        if name not in self._held:
            self._held[name] = open_lock(self.folder / f"{name}.held")
            try_lock(self._held[name], is_shared=True)

    async def _make(self, name: str, make: Callable[[Path], Awaitable[None]]) -> Path:
        folder = self.folder / name
        try:
            await make(folder)
            (folder / STAMP).touch()
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        self._hold(name)
        return folder

    def _note(self, user: str, name: str) -> None:
        """Written aside and renamed, as a half-written note would be none."""
        self._notes.mkdir(parents=True, exist_ok=True)
        draft = self.folder / f".{user}.{os.getpid()}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(Path("..") / name)
        draft.replace(self._notes / user)

    def _remove(self, name: str, kept_seconds: float) -> bool:
        folder = self.folder / name
        locks = [open_lock(self.folder / f"{name}.{sign}") for sign in ("lock", "held")]
        try:
            if not all(try_lock(lock) for lock in locks) or _age(folder) < kept_seconds:
                return False
            (folder / STAMP).unlink(missing_ok=True)  # what is cut short from here on is no complete folder any more
            shutil.rmtree(folder, ignore_errors=True)
            return True
        finally:
            for lock in locks:
                os.close(lock)


def _age(place: Path) -> float:
    """Seconds since the last use; of what was not completed, since it was begun."""
    stamp = place / STAMP
    return time() - (stamp if stamp.exists() and not place.is_symlink() else place).lstat().st_mtime
