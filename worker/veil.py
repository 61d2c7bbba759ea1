"""A veil: a model behind it has all of this machine as the service's user has it, but for what the service keeps.

docs/security.md says what it keeps out and what it does not.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from shared.isolation import Level
from worker.enclosure import READ_ONLY, WRITABLE, Enclosure, Mount, homes_of, new_system, outside_of
from worker.surroundings import RUNTIME, named_places

_ROOT, _NOTHING = Path("/"), Path("/dev/null")
_DEVICES = ("accel", "hugepages", "infiniband", "shm", "snd", "v4l", "video*")
"""Besides the GPUs. By those of disks root could read what is hidden."""
_SWITCHES = (Path("/proc/sys"), Path("/sys"))
"""Read-only: by some of them root could have the kernel start a program outside."""


@dataclass(frozen=True, slots=True)
class Veil(Enclosure):
    """Where something is hidden lies an empty folder of the process, and in it what it is to see, writable as ever."""

    level: ClassVar[Level] = Level.VEIL
    hidden: tuple[Path, ...] = ()
    """Real places of files and folders that exist."""

    def mounts(self, source: Path, python: Path, scratch: Path) -> list[Mount]:
        curtains = [_curtain(place, scratch / f"veil{number}") for number, place in enumerate(self.hidden)]
        wanted = (source, RUNTIME, *homes_of(python), *self.shown, *named_places(), scratch / "tmp")
        shown = []
        for place in dict.fromkeys(self._behind(map(_located, wanted))):
            if place.is_symlink():  # a folder that is served from elsewhere
                _lead(outside_of(curtains, place), place.resolve())
            elif not place.exists():  # a cache that no model has used yet
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
            shown += self._behind([place.resolve()])
        return [
            Mount(_ROOT, _ROOT, WRITABLE),
            *new_system(*_DEVICES),
            *(Mount(place, place) for place in _SWITCHES),
            *curtains,
            *(Mount(place, place, WRITABLE) for place in dict.fromkeys(shown)),
        ]

    def _behind(self, places: Iterable[Path]) -> list[Path]:
        """Those that would be hidden."""
        return [place for place in places if any(hidden in place.parents for hidden in self.hidden)]


def _curtain(place: Path, folder: Path) -> Mount:
    if not place.is_dir():
        return Mount(place, _NOTHING, READ_ONLY)
    folder.mkdir(mode=0o700)
    return Mount(place, folder, WRITABLE)


def _lead(link: Path, target: Path) -> None:
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.symlink_to(target)


def _located(place: Path) -> Path:
    """Its real folder, and its own name there, which may be that of a link."""
    return Path(os.path.realpath(place.parent)) / place.name
