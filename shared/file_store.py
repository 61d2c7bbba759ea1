"""The bytes of uploaded files and of models' output files, in PINION_HOME.

What is known about a file stands in its row, see `files`; hosts that share a database share the folder too.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import time
from typing import IO, Self

_STAGING = ".incoming-"
_STALE_SECONDS = 86_400
"""No upload takes this long; what is left of one was left by a process that died."""


def content_path(home: Path, file_id: str) -> Path:
    """Where the bytes of a stored file lie."""
    return home / "files" / file_id[:2] / file_id


def remove_content(home: Path, file_ids: Iterable[str]) -> None:
    """Delete the bytes of files; those that are gone already do no harm."""
    for file_id in file_ids:
        content_path(home, file_id).unlink(missing_ok=True)


def remove_stale(home: Path) -> None:
    """Delete what uploads that were never finished have left."""
    for path in (home / "files").glob(f"{_STAGING}*"):
        if path.stat().st_mtime < time() - _STALE_SECONDS:
            path.unlink(missing_ok=True)


class Incoming:
    """A file being written: not to be seen under its name before it is complete. Leaving without `publish` drops it.

    All methods block.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "files").mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(prefix=_STAGING, dir=home / "files")
        self._path = Path(name)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(OSError):  # what could not be flushed is dropped with the rest
            self._file.close()
        self._path.unlink(missing_ok=True)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    def write(self, piece: bytes) -> None:
        """One more piece; OSError when there is no room for it."""
        self._file.write(piece)
        self._sha256.update(piece)
        self._md5.update(piece)
        self.size += len(piece)

    def complete(self) -> None:
        """All on the disk; OSError when there is no room."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def publish(self, file_id: str) -> None:
        """Move it to its place."""
        place = content_path(self._home, file_id)
        place.parent.mkdir(exist_ok=True, mode=0o700)
        self._path.rename(place)
