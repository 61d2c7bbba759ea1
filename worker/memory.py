"""How much memory model processes take, and how much they may.

Reads what the system tells; who has to go is decided in `residency`. The memory of GPUs is read in `gpu`.
"""

from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Protocol

_USUAL_SHARE = 0.75
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one memory at one moment; nothing is taken where the system does not tell."""

    budget_bytes: int
    """What models may take together."""
    taken_bytes: dict[int, int]
    """What they take, by process group."""


class Memory(Protocol):
    """A memory that models share: the host's, or that of one GPU."""

    name: str
    device: str
    """What computes in it, as its maker calls it."""

    def read(self, groups: Collection[int]) -> Reading:
        """May take a while; not in an event loop."""


class HostMemory:
    """The main memory."""

    name = "host"
    device = "CPU"

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes

    def read(self, groups: Collection[int]) -> Reading:
        """What several processes share is counted in parts."""
        taken: dict[int, int] = defaultdict(int)
        for place in glob("/proc/[0-9]*/stat") if groups else ():
            with suppress(OSError):  # it has just ended
                stat = Path(place)
                group = int(stat.read_text().rpartition(")")[2].split()[2])
                if group in groups:
                    taken[group] += _proportional_bytes(stat.with_name("smaps_rollup"))
        return Reading(self._budget_bytes, taken)


def usual_budget() -> int:
    """Bytes that models may take where nobody says how many: three quarters of the machine, or of its container."""
    return int(_USUAL_SHARE * min(_machine_bytes(), _container_bytes()))


def _proportional_bytes(rollup: Path) -> int:
    lines = rollup.read_text().splitlines()
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:")), 0)


def _machine_bytes() -> int:
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * _KIB for line in lines if line.startswith("MemTotal:"))
    return 2**62


def _container_bytes() -> int:
    with suppress(OSError, ValueError):  # no such file, or the word "max"
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    return 2**62
