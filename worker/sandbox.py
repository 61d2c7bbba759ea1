"""A sandbox: a model in it sees the system's programs, the GPUs, and what it is handed; no network and no home.

docs/security.md says what it keeps out and what it does not.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from shared.isolation import Level
from worker.enclosure import WRITABLE, Enclosure, Mount, homes_of, new_system
from worker.events import SetupFailed
from worker.surroundings import RUNTIME

HOME = Path("/home/model")
TEMPORARY = Path("/tmp")  # noqa: S108 - there, and only in the sandbox
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store", "/opt/cuda", "/opt/rocm")
# Of /etc what programs need to find libraries, names, certificates and fonts: the rest may hold secrets.
_ETC = (
    *("alternatives", "ca-certificates", "fonts", "group", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "nsswitch.conf", "OpenCL", "os-release", "passwd", "pki", "ssl", "vulkan"),
)
# Libraries count processors there, and drivers find their devices.
_SYS = ("block", "bus", "class", "dev", "devices", "module")
_FOLDER_ENTRIES_MAX = 1000
"""Each entry of the model's folder is a mount, and bubblewrap takes 9000 arguments."""


@dataclass(frozen=True, slots=True)
class Sandbox(Enclosure):
    """What is shown is read-only."""

    level: ClassVar[Level] = Level.SANDBOX
    shared: tuple[Path, ...] = ()
    """Shown as well, but writable, and to us too; these exist."""

    def mounts(self, source: Path, python: Path, scratch: Path) -> list[Mount]:
        system = [*_SYSTEM, *(f"/etc/{name}" for name in _ETC), *(f"/sys/{name}" for name in _SYS)]
        home, folder = scratch / "home", scratch / "folder"
        for made in (home, folder):
            made.mkdir(mode=0o700)
        return [
            *new_system(),
            *(Mount(Path(place), Path(place)) for place in system),
            *(Mount(TEMPORARY, scratch / "tmp", WRITABLE), Mount(HOME, home, WRITABLE)),
            *(Mount(place, place) for place in (RUNTIME, *homes_of(python), *self.shown)),
            *(Mount(place, place, WRITABLE) for place in self.shared),
            *_folder(source, folder),
        ]


def _folder(source: Path, writable: Path) -> list[Mount]:
    """The model's folder: models write beside their code, but what was pushed must stay as it is.

    A link stays a link. Where it leads to is seen only if it is shown: otherwise a linked folder could show anything.
    """
    entries = sorted(source.iterdir())
    if len(entries) > _FOLDER_ENTRIES_MAX:
        raise SetupFailed(
            f"The model's folder has {len(entries)} entries, and at most {_FOLDER_ENTRIES_MAX} can be shown to a model "
            "in a sandbox: put them into a folder of their own."
        )
    for link in (each for each in entries if each.is_symlink()):
        (writable / link.name).symlink_to(link.readlink())
    mounted = (each for each in entries if not each.is_symlink())
    return [Mount(source, writable, WRITABLE), *(Mount(source / each.name, each) for each in mounted)]
