"""SHA-256 of files, each computed once: remembered by place, size, time and inode.

What the digests are for is the caller's business; losing the memory costs time only.
"""

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

_PIECE_BYTES = 1 << 20
# A file written to right after it was looked at may keep its time; such a fresh one is not remembered.
_SETTLED_SECONDS = 2.0
_TABLE = """
CREATE TABLE IF NOT EXISTS digests (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, inode INTEGER, device INTEGER, digest TEXT
)
"""


class Digests:
    """A context manager; `progress` is called with the bytes read."""

    def __init__(self, memory: Path, progress: Callable[[int], None]) -> None:
        self._memory = memory
        self._progress = progress
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> "Digests":
        with suppress(OSError, sqlite3.Error):  # a folder that may not be written, a file that is none of ours
            self._memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            database = sqlite3.connect(self._memory)
            try:
                database.execute(_TABLE)
            except sqlite3.Error:
                database.close()
            else:
                self._database = database
        return self

    def __exit__(self, *failure: object) -> None:
        if self._database:
            with closing(self._database), suppress(sqlite3.Error):
                self._database.commit()

    def of(self, file: Path) -> str:
        """The SHA-256 of a file's content in hex."""
        found = file.stat()
        mark = (found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev)
        if known := self._recall(file, mark):
            self._progress(found.st_size)
            return known
        digest = self._read(file)
        if time.time() - found.st_mtime > _SETTLED_SECONDS:
            self._remember(file, mark, digest)
        return digest

    def _read(self, file: Path) -> str:
        total = hashlib.sha256()
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                total.update(piece)
                self._progress(len(piece))
        return total.hexdigest()

    def _recall(self, file: Path, mark: tuple[int, ...]) -> str | None:
        query = "SELECT digest FROM digests WHERE path=? AND size=? AND changed=? AND inode=? AND device=?"
        with suppress(sqlite3.Error):
            if self._database and (row := self._database.execute(query, (_key(file), *mark)).fetchone()):
                return str(row[0])
        return None

    def _remember(self, file: Path, mark: tuple[int, ...], digest: str) -> None:
        statement = "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)"
        with suppress(sqlite3.Error):
            if self._database:
                self._database.execute(statement, (_key(file), *mark, digest))


def _key(file: Path) -> bytes:
    return os.fsencode(file.absolute())
