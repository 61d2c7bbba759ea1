"""The place of one model process: a temporary folder of its own and, in an enclosure, all that it can see.

Removed when the process has ended and nobody reads what its predictions have made. What is spoken is not known here.
"""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.file_lock import open_lock, try_lock
from shared.file_names import FILE_KEY
from shared.isolation import Level
from worker.enclosure import Enclosure, Mount, is_seen, outside_of
from worker.events import SetupFailed
from worker.sandbox import HOME, TEMPORARY
from worker.strays import end_strays

_PREFIX = "pinion-model-"
_DRAFT_PREFIX = ".pinion-model-"
_TEMPORARY = "tmp"
_LEFT = re.compile(r"prediction-\w+")


class Cell:
    """Opened by `open_cell`."""

    def __init__(
        self, scratch: Path, lock: int, source: Path, enclosure: Enclosure | None, mounts: Sequence[Mount]
    ) -> None:
        self._scratch, self._lock = scratch, lock
        self._source = source
        self._enclosure, self._mounts = enclosure, mounts
        self._stays = 0
        self._left: dict[str, Path] = {}
        self._is_left = False

    @property
    def is_enclosed(self) -> bool:
        return self._enclosure is not None

    @property
    def is_sandboxed(self) -> bool:
        return self._enclosure is not None and self._enclosure.level == Level.SANDBOX

    @property
    def variables(self) -> dict[str, str]:
        """Of the process's environment."""
        temporary = TEMPORARY if self.is_sandboxed else self._scratch / _TEMPORARY
        # What torch compiles is kept as long as the process lives: it would look in vain in a prediction's folder.
        ours = {"TMPDIR": str(temporary), "TORCHINDUCTOR_CACHE_DIR": str(temporary / "torchinductor")}
        return {**ours, "HOME": str(HOME)} if self.is_sandboxed else ours

    def command(self, program: Sequence[str]) -> list[str]:
        """What starts a program here. Blocks."""
        return self._enclosure.command(self._mounts, self._source, program) if self._enclosure else list(program)

    def stay(self, prediction_id: str) -> "Stay":
        """For as long as a prediction's files are needed."""
        self._stays += 1
        return Stay(self, prediction_id)

    def note_left(self, prediction_id: str, name: str | None) -> None:
        """A prediction is over, and has left something in a temporary folder of this name. ValueError for another."""
        if name is not None:
            if not _LEFT.fullmatch(name):
                raise ValueError(name)
            self._left[prediction_id] = self._scratch / _TEMPORARY / name

    def may_show(self, place: Path) -> bool:
        """Whether a process here can see what lies at a real place of this machine."""
        return not self._enclosure or is_seen(self._mounts, place)

    def from_inside(self, output: Any) -> Any:
        """An output of the process, with its files under the names they have for us."""
        if not self._enclosure:
            return output
        if isinstance(output, dict):
            if output.keys() == {FILE_KEY}:
                return {FILE_KEY: str(outside_of(self._mounts, Path(output[FILE_KEY])))}
            return {key: self.from_inside(each) for key, each in output.items()}
        return [self.from_inside(each) for each in output] if isinstance(output, list) else output

    async def leave(self) -> None:
        """The process has ended, and whatever it has started ends with it."""
        self._is_left = True
        await asyncio.to_thread(end_strays, self._scratch / _TEMPORARY)
        await self._clear()

    async def end_stay(self, prediction_id: str) -> None:
        """Remove what a prediction has left."""
        if folder := self._left.pop(prediction_id, None):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        self._stays -= 1
        await self._clear()

    async def _clear(self) -> None:
        if self._is_left and not self._stays and self._lock >= 0:
            lock, self._lock = self._lock, -1
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)
            os.close(lock)


class Stay:
    """One prediction's, from before it begins until nobody needs its files any more."""

    def __init__(self, cell: Cell, prediction_id: str) -> None:
        self._cell, self._prediction_id = cell, prediction_id

    def may_show(self, place: Path) -> bool:
        """Whether the model can see what lies at a real place of this machine."""
        return self._cell.may_show(place)

    async def end(self) -> None:
        """Exactly once."""
        await self._cell.end_stay(self._prediction_id)


async def open_cell(source: Path, python: Path, enclosure: Enclosure | None) -> Cell:
    """For a process that is about to start in a model's folder; raises SetupFailed."""
    try:
        return await asyncio.to_thread(_open, source, python, enclosure)
    except OSError as error:
        raise SetupFailed(f"No place could be made for the model: {error.strerror}.") from error


def _open(source: Path, python: Path, enclosure: Enclosure | None) -> Cell:
    remove_abandoned()
    draft = Path(tempfile.mkdtemp(prefix=_DRAFT_PREFIX))
    lock = open_lock(draft / "lock")
    try_lock(lock)
    scratch = draft.rename(draft.with_name(draft.name.removeprefix(".")))  # not to be found before it is locked
    try:
        (scratch / _TEMPORARY).mkdir(mode=0o700)
        mounts = enclosure.mounts(source, python, scratch) if enclosure else ()
        return Cell(scratch, lock, source, enclosure, mounts)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(lock)
        raise


def remove_abandoned() -> None:
    """The cells of workers that were killed, which hold no lock any more, and whoever is left in them. Blocks."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # just being removed
            if scratch.lstat().st_uid != os.getuid():
                continue
            lock = os.open(scratch / "lock", os.O_RDWR | os.O_NOFOLLOW)
            try:
                if try_lock(lock):
                    end_strays(scratch / _TEMPORARY)
                    shutil.rmtree(scratch, ignore_errors=True)
            finally:
                os.close(lock)
