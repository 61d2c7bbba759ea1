"""Files of pushed versions: put together once from contents, named by what they hold, never changed.

The folder lies in PINION_HOME; hosts that share a database share it too. How contents arrive stands in `contents`.
"""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from time import time

from shared.contents import Contents, share
from shared.contract import PushedFile
from shared.errors import InvalidPush

MAX_ENTRIES = 100_000
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PART_BYTES_MAX = 255
_PATH_BYTES_MAX = 1024
_DRAFTS = (".push-", ".link-", ".gone-")


def version_folder(home: Path, version_id: str) -> Path:
    """Where the files of a version lie."""
    return home / "versions" / version_id


def has_files(home: Path, version_id: str) -> bool:
    """Whether they are stored here, or elsewhere by a link."""
    folder = version_folder(home, version_id)
    return folder.is_symlink() or folder.exists()


def set_aside(home: Path, version_id: str) -> Path:
    """Take a version's files away from their place in one step; where they are now, to be deleted at leisure."""
    aside = Path(tempfile.mkdtemp(prefix=_DRAFTS[2], dir=home / "versions"))
    version_folder(home, version_id).rename(aside / version_id)
    return aside


def check_files(files: Sequence[PushedFile], max_bytes: int) -> None:
    """Refuse what cannot or must not be stored; raises InvalidPush. Nothing has been written by then."""
    if len(files) > MAX_ENTRIES or sum(max(file.size, 0) for file in files) > max_bytes:
        raise InvalidPush(f"The model has more than {MAX_ENTRIES} files or {max_bytes} bytes.")
    sizes: dict[str, int] = {}
    for file in files:
        _check_path(file.path)
        if not _DIGEST.fullmatch(file.sha256) or file.size < 0 or sizes.setdefault(file.sha256, file.size) != file.size:
            raise InvalidPush(f"The size or the SHA-256 of {file.path[:100]!r} cannot be right.")
    paths = {file.path for file in files}
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    if len(paths) < len(files) or paths & folders:
        raise InvalidPush("Two files have the same name, or one has that of a folder.")
    if "cog.yaml" not in paths:
        raise InvalidPush("The pushed folder has no cog.yaml. `pinion push` wants the folder that holds it.")


def store_version(home: Path, model: str, files: Sequence[PushedFile], contents: Contents) -> str:
    """Put together checked files whose contents are all there; the version's id, 64 hex digits."""

    def fill(staging: Path) -> None:
        for file in files:
            target = staging / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            contents.put(file.sha256, target, is_executable=file.executable)

    version_id = content_hash(model, files)
    folder = version_folder(home, version_id)
    if folder.is_symlink() or not folder.exists():
        _publish(folder, fill)
    return version_id


def link_version(home: Path, model: str, files: Sequence[PushedFile], source: Path) -> str:
    """Serve a folder of this host as it lies there; the version's id is that of its content now."""
    if not source.is_absolute():
        raise InvalidPush("A folder to be linked is named by its whole path.")
    for file in files:
        place = source / file.path
        if not place.is_file() or place.stat().st_size != file.size:
            raise InvalidPush(f"{str(place)[:200]} is not as it was said to be. Is the server on this very machine?")
    version_id = content_hash(model, files)
    folder = version_folder(home, version_id)
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or not folder.exists():  # what was pushed before is as good, and does not change
        draft = Path(tempfile.mkdtemp(prefix=_DRAFTS[1], dir=folder.parent))
        (draft / "link").symlink_to(source)
        (draft / "link").replace(folder)
        draft.rmdir()
    return version_id


def derive_version(home: Path, version_id: str, source_id: str) -> None:
    """Give a version the files of another one."""
    folder, source = version_folder(home, version_id), version_folder(home, source_id)
    copy = shutil.copy if source.is_symlink() else share  # what lies elsewhere may be changed there
    if not folder.exists():
        _publish(folder, lambda staging: _copy(source, staging, copy))


def copy_version(home: Path, version_id: str, target: Path) -> None:
    """The files of a version in a new folder, to be changed at will."""
    _copy(version_folder(home, version_id), target, _copy_writable)


def derived_id(model: str, source_id: str, weights: str) -> str:
    """The id of a version with the files of another one, and with weights that are told by SHA-256 or address.

    The other id being that of its content, this one is, too.
    """
    return hashlib.sha256("\n".join((model, source_id, weights)).encode()).hexdigest()


def _copy(source: Path, target: Path, copy: Callable[[str, str], object]) -> None:
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, target, symlinks=True, ignore=unwanted, copy_function=copy, dirs_exist_ok=True)


def _copy_writable(source: str, target: str) -> None:
    shutil.copy(source, target)
    os.chmod(target, os.stat(source).st_mode | stat.S_IWUSR)


def remove_drafts(home: Path, kept_seconds: float) -> None:
    """Delete what was begun so long ago by processes that died. Blocks."""
    for prefix in _DRAFTS:
        for draft in (home / "versions").glob(f"{prefix}*"):
            if draft.stat().st_mtime < time() - kept_seconds:
                shutil.rmtree(draft, ignore_errors=True)


def content_hash(model: str, files: Sequence[PushedFile]) -> str:
    """The SHA-256 over the model's name and every file's path, executable bit and content.

    Times and owners do not count, so the same files pushed twice are one version.
    """
    total = hashlib.sha256(model.encode())
    for file in sorted(files, key=lambda file: file.path.split("/")):
        name = file.path.encode()
        total.update(b"%d:%s%d%s" % (len(name), name, file.executable, bytes.fromhex(file.sha256)))
    return total.hexdigest()


def _publish(folder: Path, fill: Callable[[Path], None]) -> None:
    """A folder is there with everything in it, or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = Path(tempfile.mkdtemp(prefix=_DRAFTS[0], dir=folder.parent))
    try:
        fill(staging)
        if folder.is_symlink():  # served from elsewhere until now
            folder.unlink()
        staging.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise the same content is there already
            raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_path(path: str) -> None:
    try:
        name = path.encode()
    except UnicodeEncodeError:
        raise InvalidPush("A file has a name that is no text.") from None
    parts = path.split("/")
    if "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise InvalidPush(f"The path {path[:100]!r} is not one within the model's folder.")
    if len(name) > _PATH_BYTES_MAX or any(len(os.fsencode(part)) > _PART_BYTES_MAX for part in parts):
        raise InvalidPush(f"The path {path[:100]!r} is too long.")
