"""What a model's folder holds: each file's path, size, executable bit and SHA-256.

Nothing is sent here. Which files count is decided in `model_folder`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.digests import Digests
from cli.failure import Failure
from cli.model_folder import Remark, files_of

_EXECUTABLE = 0o100


@dataclass(frozen=True, slots=True)
class Entry:
    """One file; a link to a file is that file."""

    path: str
    place: Path
    size: int
    sha256: str
    executable: bool

    @property
    def described(self) -> dict[str, Any]:
        """As the server wants to have it."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256, "executable": self.executable}


def list_files(folder: Path, remark: Remark, *, may_lead_out: bool = False) -> list[str]:
    """The relative paths of what is to be sent. What Cog reads outside of the image is never ignored."""
    named = [name for name in ("cog.yaml", _requirements_of(folder)) if name and (folder / name).is_file()]
    return sorted({*files_of(folder, remark, may_lead_out=may_lead_out), *named})


def total_size(folder: Path, paths: list[str]) -> int:
    return sum(_size(folder / path) for path in paths)


def take_inventory(folder: Path, paths: list[str], memory: Path, progress: Callable[[int], None]) -> list[Entry]:
    """Reads every file that is not remembered in `memory`."""
    with Digests(memory, progress) as digests:
        return [_entry(folder, path, digests) for path in paths]


def _entry(folder: Path, path: str, digests: Digests) -> Entry:
    place = folder / path
    found = place.stat()
    return Entry(path, place, found.st_size, digests.of(place), bool(found.st_mode & _EXECUTABLE))


def _size(place: Path) -> int:
    if not place.is_file():
        raise Failure(f"{place} is no file that can be sent: remove it, or ignore it.")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in place.name):  # how Python keeps bytes that are no UTF-8
        raise Failure(f"{str(place)!r} has a name that is no text: rename it, or ignore it.")
    return place.stat().st_size


def _requirements_of(folder: Path) -> str | None:
    """The requirements file that cog.yaml names; whether all of that is right is for the server to say."""
    try:
        content = yaml.safe_load((folder / "cog.yaml").read_text())
        name = content["build"]["python_requirements"]
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return None
    is_within = isinstance(name, str) and (folder / name).resolve().is_relative_to(folder.resolve())
    return Path(name).as_posix() if is_within else None
