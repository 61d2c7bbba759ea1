"""Contents of pushed files: kept once for each account, named by their SHA-256, received in as many pieces as it takes.

Apart for each account, because to have a content here is to be allowed to run it. Which files have which content is a
version's business, see `storage`.
"""

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time

from shared.errors import Conflict, InvalidPush
from shared.file_lock import open_lock, shared_lock, try_lock

_DIGEST = re.compile(r"[0-9a-f]{64}")
# A content that is shared by versions has this time, which whatever writes into it changes.
_UNTOUCHED_SECONDS = 1_000_000_000
_COPIED_BELOW_BYTES = 1 << 20
_NO_LINKS = (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EOPNOTSUPP)
_LENGTH_BYTES = 4
PACK_BYTES_MAX = 1 << 22
"""It is unpacked in main memory."""
_READ_ONLY = 0o444
_WRITABLE = 0o222
_LOCK = "lock"


class Contents:
    """Those of one account."""

    def __init__(self, home: Path, account_id: str) -> None:
        self._folder = home / "contents" / account_id

    @contextmanager
    def used(self) -> Iterator[None]:
        """While inside, what is there stays there; blocks for as long as some is being removed."""
        with shared_lock(self._folder / _LOCK):
            yield

    def has(self, digest: str, size: int) -> bool:
        """Whether it is there, whole and as it was, and will be for some time. One that a model has written into is
        dropped."""
        place = self._place(digest)
        try:
            found = place.stat()
        except FileNotFoundError:
            return False
        if found.st_size == size and found.st_mtime == _UNTOUCHED_SECONDS:
            _date(place)  # for the system it has changed just now, which `remove_unshared` goes by
            return True
        place.unlink(missing_ok=True)
        return False

    def received(self, digest: str) -> int:
        """How many bytes of a content that is not complete have arrived."""
        try:
            return self._draft(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def open(self, digest: str, offset: int) -> "Arrival":
        """Go on with a content at a place; raises Conflict when that is not where it ends."""
        if not _DIGEST.fullmatch(digest):
            raise InvalidPush("A content is named by its SHA-256, 64 lower-case hex digits.")
        draft = self._draft(digest)
        draft.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (0 if offset else os.O_TRUNC)
        return Arrival(os.open(draft, flags, 0o600), offset)

    def keep(self, digest: str, size: int) -> bool:
        """Keep a content that has arrived in full; False while some of it is missing. Raises InvalidPush."""
        if not self._is_whole(digest, size):
            return False
        self._settle(self._draft(digest), digest)
        return True

    def keep_packed(self, digest: str, size: int) -> bool:
        """Keep each of the contents in a pack that has arrived in full; else the same."""
        if not self._is_whole(digest, size):
            return False
        pack = self._draft(digest)
        for content in unpacked(pack.read_bytes()):
            with tempfile.NamedTemporaryFile(dir=pack.parent, delete=False) as file:
                file.write(content)
            self.adopt(Path(file.name))
        pack.unlink()
        return True

    def _is_whole(self, digest: str, size: int) -> bool:
        if self.received(digest) < size:
            return False
        draft = self._draft(digest)
        with draft.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != digest or draft.stat().st_size != size:
            draft.unlink(missing_ok=True)
            raise InvalidPush(f"What arrived is not the content {digest}: its file has changed, or it was damaged.")
        return True

    def adopt(self, file: Path) -> str:
        """Keep a file that lies complete beside the contents; its SHA-256."""
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if self.has(digest, file.stat().st_size):
            file.unlink()
        else:
            self._settle(file, digest)
        return digest

    def _settle(self, draft: Path, digest: str) -> None:
        place = self._place(digest)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.chmod(_READ_ONLY)
        _date(draft)
        draft.replace(place)

    def put(self, digest: str, target: Path, *, is_executable: bool) -> None:
        """Make a file with a content that is there. A large one shares its bytes and cannot be written to."""
        place = self._place(digest)
        if not is_executable and place.stat().st_size >= _COPIED_BELOW_BYTES and _link(place, target):
            return
        shutil.copyfile(place, target)
        target.chmod(0o755 if is_executable else 0o644)

    def _place(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _draft(self, digest: str) -> Path:
        return self._folder / "arriving" / digest


def packed(contents: Iterable[bytes]) -> bytes:
    """Several small contents as one: each behind its length, four bytes with the highest first."""
    return b"".join(piece for content in contents for piece in (len(content).to_bytes(_LENGTH_BYTES), content))


def unpacked(pack: bytes) -> Iterator[bytes]:
    """The contents of a pack; raises InvalidPush when it is none."""
    place = 0
    while place < len(pack):
        begin = place + _LENGTH_BYTES
        place = begin + int.from_bytes(pack[begin - _LENGTH_BYTES : begin])
        if begin > len(pack) or place > len(pack):
            raise InvalidPush("The pack ends within a content: each must stand behind its length in four bytes.")
        yield pack[begin:place]


class Arrival:
    """A content that is just coming in. Of two at once the later one goes on, and what both wrote is checked."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._offset = offset

    def write(self, piece: bytes) -> None:
        """Append; raises Conflict when it does not end any more where this one has come to."""
        if (end := os.fstat(self._descriptor).st_size) != self._offset:
            raise Conflict(f"{end} bytes of this content are here: go on from there, not from {self._offset}.")
        rest = memoryview(piece)
        while rest:
            written = os.pwrite(self._descriptor, rest, self._offset)
            self._offset += written
            rest = rest[written:]

    def close(self) -> None:
        os.close(self._descriptor)


def remove_unshared(home: Path, kept_seconds: float) -> int:
    """Delete what no version shares and nobody has asked for in so long, and what arrived in part; how many. Blocks."""
    return sum(_remove_unshared(folder, kept_seconds) for folder in (home / "contents").glob("*"))


def _remove_unshared(folder: Path, kept_seconds: float) -> int:
    descriptor = open_lock(folder / _LOCK)
    try:
        if not try_lock(descriptor):
            return 0
        found = [(path, path.stat()) for path in folder.glob("*/*")]
        left = [path for path, is_ in found if is_.st_nlink == 1 and is_.st_ctime < time() - kept_seconds]
        for path in left:
            path.unlink()
        return len(left)
    finally:
        os.close(descriptor)


def share(place: str, target: str) -> None:
    """The same file again: under a second name if nobody is to write to it, else as a copy."""
    if os.stat(place).st_mode & _WRITABLE or not _link(Path(place), Path(target)):
        shutil.copy(place, target)


def _date(content: Path) -> None:
    os.utime(content, (_UNTOUCHED_SECONDS, _UNTOUCHED_SECONDS))


def _link(place: Path, target: Path) -> bool:
    """Whether the file system could give the same bytes a second name."""
    try:
        os.link(place, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True
