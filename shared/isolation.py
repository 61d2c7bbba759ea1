"""How model processes are kept away from the service and from each other, and whether this machine can do it.

What they see then is decided in `worker.sandbox` and `worker.veil`; nothing is started here but a trial.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_ALWAYS = ("--unshare-pid", "--die-with-parent", "--cap-drop", "ALL")
"""No foreign process in sight, no rights, and no life after ours."""
_RIGHTS_OVER_FILES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID")
"""What models of root keep at every level but in a sandbox; see runtime/pinion_runtime/confinement.py."""
_CAP_SYS_ADMIN = 21
_TRIAL = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true")
_TRIAL_SECONDS = 10.0


class Isolation(StrEnum):
    """What can be wanted. AUTO: a sandbox as soon as there are several accounts, until then a veil."""

    AUTO = "auto"
    PROCESS = "process"
    SANDBOX = "sandbox"


class Level(StrEnum):
    """How a model runs: as a process like any other, as one that does not see the service's data, or in a sandbox."""

    PROCESS = "process"
    VEIL = "veil"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How models are to run, and why."""

    wanted: Level
    reason: str
    obstacle: str = ""
    """What keeps that from being had."""

    @property
    def level(self) -> Level:
        """In force."""
        return Level.PROCESS if self.obstacle else self.wanted


def judge(wanted: Isolation, accounts: int) -> Verdict:
    """Of this machine at this moment; blocks for some milliseconds where more than a process is wanted."""
    if wanted == Isolation.PROCESS:
        return Verdict(Level.PROCESS, "PINION_ISOLATION=process")
    if wanted == Isolation.SANDBOX:
        level, reason = Level.SANDBOX, "PINION_ISOLATION=sandbox"
    elif accounts > 1:
        level, reason = Level.SANDBOX, f"there are {accounts} accounts"
    else:
        level, reason = Level.VEIL, "there is no second account"
    return Verdict(level, reason, find_obstacle(level) or "")


def walls(level: Level) -> tuple[str, ...]:
    """What bubblewrap is asked for, mounts aside; in a sandbox no network as well."""
    if level == Level.SANDBOX:
        return ("--unshare-all", *_ALWAYS)
    if not _may_mount():
        return ("--unshare-user", *_ALWAYS)
    # Root needs no namespace of users, and in one it could not work on folders that belong to others.
    return (*_ALWAYS, *(word for right in _RIGHTS_OVER_FILES for word in ("--cap-add", right)))


def find_program() -> Path | None:
    """Bubblewrap, where it is installed."""
    found = shutil.which("bwrap")
    return Path(found) if found else None


def find_obstacle(level: Level) -> str | None:
    """Why models cannot run like that here; None when they can."""
    program = find_program()
    if program is None:
        return "bubblewrap (bwrap) is not installed"
    command = [str(program), *walls(level), *_TRIAL]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS)  # noqa: S603 - found above
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run ({type(error).__name__})"
    if tried.returncode == 0:
        return None
    said = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1].removeprefix("bwrap: ")
    return f"bubblewrap may not make namespaces here ({said})"


def _may_mount() -> bool:
    """Whether we have the right to without a namespace of users, as root has outside most containers."""
    held = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(held and int(held[1], 16) >> _CAP_SYS_ADMIN & 1)
