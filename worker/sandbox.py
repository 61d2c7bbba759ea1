"""What a model in a sandbox sees of this machine: the system's programs, its GPUs, and what it is handed.

Built with bubblewrap; whether there is to be a sandbox is decided in `isolation`. docs/security.md says what it keeps
out and what it does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.isolation import WALLS
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
_GPUS = ("nvidia*", "kfd", "dri", "dxg")
_FOLDER_ENTRIES_MAX = 1000
"""Each entry of the model's folder is a mount, and bubblewrap takes 9000 arguments."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A place in the sandbox, and what is there."""

    inside: Path
    outside: Path
    is_writable: bool = False

    @property
    def options(self) -> tuple[str, str, str]:
        return ("--bind" if self.is_writable else "--ro-bind-try", str(self.outside), str(self.inside))


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A kind of sandbox, before a process is in one."""

    program: Path
    """Bubblewrap."""
    shown: tuple[Path, ...] = ()
    """Read-only, under their own names."""
    shared: tuple[Path, ...] = ()
    """The same, but writable, and to us as well; these exist."""

    def mounts(self, source: Path, python: Path, scratch: Path) -> list[Mount]:
        """All of the file system that a model is to see, outermost first. Blocks."""
        system = [*_SYSTEM, *(f"/etc/{name}" for name in _ETC)]
        own = [Mount(TEMPORARY, scratch / "tmp", True), Mount(HOME, scratch / "home", True)]
        shown = [RUNTIME, *_homes_of(python), *self.shown]
        return [
            *(Mount(Path(place), Path(place)) for place in system),
            *own,
            *(Mount(place, place) for place in shown),
            *(Mount(place, place, True) for place in self.shared),
            *_folder(source, scratch / "folder"),
        ]

    def command(self, mounts: Sequence[Mount], source: Path, program: Sequence[str]) -> list[str]:
        """What starts the program in a sandbox, in the model's folder. Blocks."""
        options = [str(self.program), *WALLS, "--dev", "/dev", "--proc", "/proc"]
        for name in _SYS:
            options += ["--ro-bind-try", f"/sys/{name}", f"/sys/{name}"]
        for device in (device for pattern in _GPUS for device in sorted(Path("/dev").glob(pattern))):
            options += ["--dev-bind-try", str(device), str(device)]
        for mount in mounts:
            options += mount.options
        return [*options, "--chdir", str(source), "--", *program]


def _homes_of(python: Path) -> list[Path]:
    """The environment it stands for and the installation that one stems from."""
    return list(dict.fromkeys([python.parent.parent, python.resolve().parent.parent]))


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
    return [Mount(source, writable, True), *(Mount(source / each.name, each) for each in mounted)]
