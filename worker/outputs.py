"""Output files of one prediction: stored before anybody hears of them, in the order in which they came.

Where they are stored, and what stands for them then, is the business of `store`. What becomes of a prediction is not
decided here either; that one of its files cannot be stored is told as its ending.
"""

import asyncio
import errno
import os
import stat
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from shared.errors import FileUnavailable
from shared.file_names import FILE_KEY
from shared.tasks import end
from worker.events import Done, Event, Output

NO_SPACE = "no space to store output"

Store = Callable[[Path], Awaitable[Any]]
"""Keeps a file of the model; what stands in its place in the output. Raises FileUnavailable or OSError."""


class OutputFiles:
    """Stands between a model process and `take`: passes every event on, with what `store` says in place of its files.

    `stop` is called when one cannot be stored; the prediction then has failed, unless that says it was being canceled
    before: a model that cleans up may remove its files. Those that the prediction has made in a temporary folder are
    removed in the end, except in the folders `own`.
    """

    def __init__(
        self, store: Store, own: Sequence[Path], take: Callable[[Event], None], stop: Callable[[], bool]
    ) -> None:
        self._store, self._own = store, own
        self._pass_on, self._stop = take, stop
        self._waiting: deque[Event] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._failure: FileUnavailable | None = None
        self._has_stopped = False
        # Older kernels date files by a clock that lags some milliseconds: what is written at once is then kept, and
        # nothing from before is ever taken for the prediction's own.
        self._began = time.time()
        self._originals: set[Path] = set()

    def take(self, event: Event) -> "asyncio.Future[None] | None":
        """Called by the process for each event, in order; what it returns is done when the files are stored."""
        if not self._waiting and not (isinstance(event, Output) and _holds_file(event.value)):
            self._pass_on(event)
            return None
        self._waiting.append(event)
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_waiting())
        return self._storing

    async def settled(self, done: Done) -> Done:
        """How the prediction has ended, once all its files are stored."""
        if self._storing:
            await self._storing
        if self._failure is None and _holds_file(done.output):
            try:
                return replace(done, output=await self._stored(done.output))
            except FileUnavailable as failure:
                self._failure = failure
        if self._failure is None or (done.status == "canceled" and not self._has_stopped):
            return done
        return replace(done, status="failed", output=None, error=self._failure.message)

    async def close(self) -> None:
        """Store nothing more, and delete the originals of what was stored."""
        if self._storing:
            await end(self._storing)
        if self._originals:
            await asyncio.to_thread(self._remove_originals)

    def _remove_originals(self) -> None:
        """Those that the prediction itself has made: an older one stems from setup(), and the next may need it."""
        for path in self._originals:
            try:
                _remove(path, self._began)
            except OSError as error:
                import structlog  # not before it is needed: `pinion serve` has to start quickly

                structlog.get_logger().info("output file not removed", file=path.name, error=error.strerror)
        self._originals.clear()

    async def _store_waiting(self) -> None:
        # An event stays in the queue until it is passed on, so that none behind it can overtake.
        while self._waiting:
            event = self._waiting[0]
            if isinstance(event, Output) and self._failure is None:
                try:
                    event = Output(await self._stored(event.value))
                except FileUnavailable as failure:
                    self._failure = failure
                    self._has_stopped = self._stop()
            if not (isinstance(event, Output) and self._failure):
                self._pass_on(event)
            self._waiting.popleft()

    async def _stored(self, value: Any) -> Any:
        if _is_file(value):
            return await self._store_one(Path(value[FILE_KEY]))
        if isinstance(value, dict):
            return {key: await self._stored(each) for key, each in value.items()}
        if isinstance(value, list):
            return [await self._stored(each) for each in value]
        return value

    async def _store_one(self, path: Path) -> Any:
        try:
            stored = await self._store(path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FileUnavailable(NO_SPACE) from error
            raise FileUnavailable(f"The output file {path.name} cannot be stored: {error.strerror}.") from error
        await asyncio.to_thread(self._note_original, path)
        return stored

    def _note_original(self, path: Path) -> None:
        place = Path(os.path.realpath(path))
        if _is_temporary(place) and not any(is_below(place, folder) for folder in self._own):
            self._originals.add(place)


def open_output(path: Path) -> IO[bytes]:
    """A file that a model names; FileUnavailable for what is none. A pipe in its place does not hold us up."""
    file = open(os.open(os.path.realpath(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb")  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise FileUnavailable(f"The output file {path.name} is not a regular file.")


def place_of(descriptor: int, name: Path) -> Path:
    """Where what is open really lies, as far as the system tells; else where its name leads to now."""
    try:
        return Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    except OSError:
        return Path(os.path.realpath(name))


def _remove(path: Path, began: float) -> None:
    """A real path of a file, if it has been made since; OSError. What a model has put in its place is left alone."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        is_same = place_of(folder, path.parent) == path.parent
        if is_same and os.stat(path.name, dir_fd=folder, follow_symlinks=False).st_mtime > began:
            os.unlink(path.name, dir_fd=folder)
    finally:
        os.close(folder)


def is_below(place: Path, folder: Path) -> bool:
    """Whether a real place lies in a folder, whatever links lead to that."""
    return place.is_relative_to(os.path.realpath(folder))


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {FILE_KEY}


def _holds_file(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_file(value) or any(_holds_file(each) for each in value.values())
    return isinstance(value, list) and any(_holds_file(each) for each in value)


def _is_temporary(place: Path) -> bool:
    return any(is_below(place, Path(folder)) for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"))  # noqa: S108
