"""How model processes are kept away from the service and from each other, and whether this machine can do it.

What a sandbox shows to a model is decided in `worker.sandbox`; nothing is started here but a trial.
"""

import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

WALLS = ("--unshare-all", "--die-with-parent", "--cap-drop", "ALL")
"""Of every sandbox: no network, no foreign process in sight, no rights, and no life after ours."""
_TRIAL = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true")
_TRIAL_SECONDS = 10.0


class Isolation(StrEnum):
    """What can be wanted. AUTO: a sandbox as soon as there are several accounts."""

    AUTO = "auto"
    PROCESS = "process"
    SANDBOX = "sandbox"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether models run in a sandbox, and why."""

    is_sandboxed: bool
    reason: str
    obstacle: str = ""
    """What keeps a sandbox that is wanted from being had."""


def judge(wanted: Isolation, accounts: int) -> Verdict:
    """Of this machine at this moment; blocks for some milliseconds where a sandbox is wanted."""
    if wanted == Isolation.PROCESS:
        return Verdict(False, "PINION_ISOLATION=process")
    if wanted == Isolation.AUTO and accounts < 2:
        return Verdict(False, "there is no second account")
    reason = "PINION_ISOLATION=sandbox" if wanted == Isolation.SANDBOX else f"there are {accounts} accounts"
    obstacle = find_obstacle()
    return Verdict(obstacle is None, reason, obstacle or "")


def find_program() -> Path | None:
    """Bubblewrap, where it is installed."""
    found = shutil.which("bwrap")
    return Path(found) if found else None


def find_obstacle() -> str | None:
    """Why no sandbox can be made here; None when one can."""
    program = find_program()
    if program is None:
        return "bubblewrap (bwrap) is not installed"
    command = [str(program), *WALLS, *_TRIAL]
    try:
        tried = subprocess.run(command, capture_output=True, text=True, timeout=_TRIAL_SECONDS)  # noqa: S603 - found above
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not run ({type(error).__name__})"
    if tried.returncode == 0:
        return None
    said = (tried.stderr.strip().splitlines() or ["it says nothing"])[-1].removeprefix("bwrap: ")
    return f"bubblewrap may not make namespaces here ({said})"
