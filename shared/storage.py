"""Files of pushed versions: unpacked once, named by their content, never changed.

The folder lies in PINION_HOME; hosts that share a database share it too.
"""

import errno
import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

from shared.errors import InvalidArchive

MAX_ENTRIES = 100_000


def version_folder(home: Path, version_id: str) -> Path:
    """Where the files of a version lie."""
    return home / "versions" / version_id


def store_version(home: Path, model: str, archive: IO[bytes], max_bytes: int) -> str:
    """Unpack a tar archive of a model and return the version's id, 64 hex digits.

    The id is the SHA-256 over the model's name and every file's path, executable bit and content; times and owners
    do not count, so the same files pushed twice are one version. Raises InvalidArchive.
    """
    (home / "versions").mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = Path(tempfile.mkdtemp(prefix=".push-", dir=home / "versions"))
    try:
        _unpack(archive, staging, max_bytes)
        if not (staging / "cog.yaml").is_file():
            raise InvalidArchive("The pushed folder has no cog.yaml. `pinion push` wants the folder that holds it.")
        version_id = _content_hash(model, staging)
        _publish(staging, version_folder(home, version_id))
        return version_id
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, folder: Path) -> None:
    try:
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise the same content is there already
            raise


def _unpack(archive: IO[bytes], folder: Path, max_bytes: int) -> None:
    """Extract by hand: regular files and folders only, so that no link can lead out of the folder."""
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            left = max_bytes
            for count, member in enumerate(tar):
                left -= member.size
                if count >= MAX_ENTRIES or left < 0:
                    raise InvalidArchive(f"The archive holds more than {MAX_ENTRIES} entries or {max_bytes} bytes.")
                _extract(tar, member, folder)
            _check_end(archive, tar.offset)
    except tarfile.TarError as error:
        raise InvalidArchive("The body is not an uncompressed tar archive, or it is damaged.") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError, UnicodeError) as error:
        raise InvalidArchive("Two entries of the archive have the same name, or one has no valid name.") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InvalidArchive("The archive holds a name that is too long.") from error


def _check_end(archive: IO[bytes], offset: int) -> None:
    """tarfile takes the first damaged header for the end; the real end is a block of zeros."""
    archive.seek(offset)
    if archive.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise InvalidArchive("The archive is damaged or was cut short.")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    member.name.encode()  # raises for a name that is no text
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise InvalidArchive(f"The entry {member.name[:100]!r} leads out of the archive.")
    target = folder / path
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise InvalidArchive(f"The entry {member.name[:100]!r} is neither a file nor a folder. Links are not unpacked.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("xb") as file:
        shutil.copyfileobj(content, file, 1024 * 1024)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _content_hash(model: str, folder: Path) -> str:
    total = hashlib.sha256(model.encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        name = path.relative_to(folder).as_posix().encode()
        total.update(b"%d:%s%d%s" % (len(name), name, os.access(path, os.X_OK), content))
    return total.hexdigest()
