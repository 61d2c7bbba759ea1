"""Where a process runs that is not to see all of this machine: what it sees in which place, and the walls around it.

Made by bubblewrap. There are two kinds, `sandbox` and `veil`; which one is wanted is decided in `seclusion`.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from shared.isolation import Level, walls

READ_ONLY, WRITABLE, DEVICE = "--ro-bind-try", "--bind", "--dev-bind-try"
"""How something of this machine is there. Other than as a DEVICE no device works."""
_GPUS = ("nvidia*", "kfd", "dri", "dxg")


@dataclass(frozen=True, slots=True)
class Mount:
    """A place inside, and what is there."""

    inside: Path
    outside: Path | None
    """None: something that the kernel makes anew."""
    how: str = READ_ONLY

    @property
    def options(self) -> list[str]:
        return [self.how, *([str(self.outside)] if self.outside else []), str(self.inside)]

    def name_of(self, place: Path) -> Path | None:
        """What a real place of this machine is called inside, if it is part of this."""
        real = Path(os.path.realpath(self.outside)) if self.outside else None
        return self.inside / place.relative_to(real) if real and place.is_relative_to(real) else None


@dataclass(frozen=True, slots=True)
class Enclosure(ABC):
    """A kind of place for a process, before one is in it."""

    level: ClassVar[Level]
    program: Path
    """Bubblewrap."""
    shown: tuple[Path, ...] = ()
    """What it is to see in any case, under its own name."""

    @abstractmethod
    def mounts(self, source: Path, python: Path, scratch: Path) -> list[Mount]:
        """All of the file system that a model in `source` is to see, outermost first; `scratch` is its own. Blocks."""

    def command(self, mounts: Sequence[Mount], source: Path, program: Sequence[str]) -> list[str]:
        """What starts the program there, in the model's folder. Blocks."""
        options = [option for mount in mounts for option in mount.options]
        return [str(self.program), *walls(self.level), *options, "--chdir", str(source), "--", *program]


def new_system(*more_devices: str) -> Iterator[Mount]:
    """`/dev` with what every program needs, the GPUs and devices of these names; `/proc` with the own processes."""
    yield Mount(Path("/dev"), None, "--dev")
    yield Mount(Path("/proc"), None, "--proc")
    for pattern in (*_GPUS, *more_devices):
        yield from (Mount(device, device, DEVICE) for device in sorted(Path("/dev").glob(pattern)))


def homes_of(python: Path) -> list[Path]:
    """The environment it stands for and the installation that one stems from."""
    return list(dict.fromkeys([python.parent.parent, python.resolve().parent.parent]))


def outside_of(mounts: Sequence[Mount], place: Path) -> Path:
    """What a name in there is for us. Only a name: where it leads is looked at when it is opened."""
    mount = _innermost(mounts, place)
    return mount.outside / place.relative_to(mount.inside) if mount and mount.outside else place


def is_seen(mounts: Sequence[Mount], place: Path) -> bool:
    """Whether what lies at a real place of this machine is seen in there, under any name."""
    names = ((mount, mount.name_of(place)) for mount in mounts)
    return any(name and _innermost(mounts, name) is mount for mount, name in names)


def _innermost(mounts: Sequence[Mount], inside: Path) -> Mount | None:
    return next((mount for mount in reversed(mounts) if inside.is_relative_to(mount.inside)), None)
