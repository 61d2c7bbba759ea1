"""Output files of one prediction: stored before anybody hears of them, in the order in which they came.

What becomes of a prediction is not decided here; that one of its files cannot be stored is told as its ending.
"""

import asyncio
import errno
import os
import stat
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Row

from shared import files
from shared.database import Database
from shared.errors import FileUnavailable
from shared.file_names import HEAD_BYTES, UNKNOWN_TYPE, extension_of, file_name, media_type
from shared.file_store import Incoming
from shared.files import Description
from shared.rendering import FILE_KEY
from shared.settings import Settings
from shared.tasks import end
from worker.events import Done, Event, Output
from worker.persistence import persistently

_PIECE_BYTES = 1024 * 1024
NO_SPACE = "no space to store output"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Where a model's files may lie: anywhere, but in our own folder only where `own` says."""

    home: Path
    own: tuple[Path, ...]

    def check(self, place: Path) -> None:
        """FileUnavailable for a file of the service or of another model."""
        if _is_below(place, self.home) and not any(_is_below(place, folder) for folder in self.own):
            raise FileUnavailable(f"The model may not hand out the file {place.name}: it is not one of its own.")


class OutputFiles:
    """Stands between a model process and `take`: passes every event on, with files stored and named by their ids.

    `stop` is called when one cannot be stored; the prediction then has failed.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        row: Row[Any],
        boundaries: Boundaries,
        take: Callable[[Event], None],
        stop: Callable[[], None],
    ) -> None:
        self._settings, self._database = settings, database
        self._row, self._boundaries = row, boundaries
        self._pass_on, self._stop = take, stop
        self._waiting: deque[Event] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._failure: FileUnavailable | None = None
        # Older kernels date files by a clock that lags some milliseconds: what is written at once is then kept, and
        # nothing from before is ever taken for the prediction's own.
        self._began = time.time()
        self._originals: set[Path] = set()

    def take(self, event: Event) -> None:
        """Called by the process for each event, in order; never waits."""
        if not self._waiting and not (isinstance(event, Output) and _holds_file(event.value)):
            self._pass_on(event)
            return
        self._waiting.append(event)
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_waiting())

    async def settled(self, done: Done) -> Done:
        """How the prediction has ended, once all its files are stored."""
        if self._storing:
            await self._storing
        if self._failure is None and _holds_file(done.output):
            try:
                return replace(done, output=await self._stored(done.output))
            except FileUnavailable as failure:
                self._failure = failure
        if self._failure is None:
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
                if path.stat().st_mtime > self._began:
                    path.unlink()
            except OSError as error:
                _log.info("output file not removed", prediction_id=self._row.id, error=error.strerror)
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
                    self._stop()
            if not (isinstance(event, Output) and self._failure):
                self._pass_on(event)
            self._waiting.popleft()

    async def _stored(self, value: Any) -> Any:
        if _is_file(value):
            return {FILE_KEY: await self._store(Path(value[FILE_KEY]))}
        if isinstance(value, dict):
            return {key: await self._stored(each) for key, each in value.items()}
        if isinstance(value, list):
            return [await self._stored(each) for each in value]
        return value

    async def _store(self, path: Path) -> str:
        """What a link to the stored file says: its id and name."""
        try:
            with await asyncio.to_thread(Incoming, self._settings.home) as incoming:
                name, kind = await asyncio.to_thread(self._copy, path, incoming)
                description = Description(self._row.account_id, name, kind, self._settings.output_seconds, self._row.id)
                row = await persistently(lambda: files.register(self._database, incoming, description))
                await asyncio.to_thread(incoming.publish, row.id)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise FileUnavailable(NO_SPACE) from error
            raise FileUnavailable(f"The output file {path.name} cannot be stored: {error.strerror}.") from error
        return f"{row.id}/{name}"

    def _copy(self, path: Path, incoming: Incoming) -> tuple[str, str]:
        """Name and type of what was copied."""
        place = Path(os.path.realpath(path))
        self._boundaries.check(place)
        head = b""
        # A pipe in the place of the file must not hold us up.
        with open(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise FileUnavailable(f"The output file {path.name} is not a regular file.")
            while piece := source.read(_PIECE_BYTES):
                head = head or piece[:HEAD_BYTES]
                incoming.write(piece)
        incoming.complete()
        if _is_temporary(place) and not any(_is_below(place, folder) for folder in self._boundaries.own):
            self._originals.add(place)
        kind = media_type(path.name, head)
        name = file_name(path.name)
        return (name if path.suffix or kind == UNKNOWN_TYPE else name + (extension_of(kind) or "")), kind


def _is_file(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {FILE_KEY}


def _holds_file(value: Any) -> bool:
    if isinstance(value, dict):
        return _is_file(value) or any(_holds_file(each) for each in value.values())
    return isinstance(value, list) and any(_holds_file(each) for each in value)


def _is_below(place: Path, folder: Path) -> bool:
    return place.is_relative_to(os.path.realpath(folder))


def _is_temporary(place: Path) -> bool:
    return any(_is_below(place, Path(folder)) for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"))  # noqa: S108
