"""The data folder: where it is, its token, and the lock that lets one `up` at a time use it.

Nothing is started here.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from cli.failure import Failure
from shared.file_lock import open_lock, try_lock
from shared.ids import new_token

PROJECT = Path(__file__).resolve().parent.parent
"""The checkout: where the packages, the migrations and the examples are."""

# With less the services would start, and fail one by one as they write.
_LEAST_FREE_BYTES = 100 * 2**20
# After a kill -9 of an earlier `up` its watchdog needs this long at most to end what is left.
_WIND_DOWN_SECONDS = 15.0


def locate(environment: Mapping[str, str]) -> Path:
    """The data folder. Absolute, because the services start in another folder than ours."""
    return Path(environment.get("PINION_HOME") or "~/.local/share/pinion").expanduser().absolute()


def prepare(folder: Path) -> None:
    """Make the folder, readable by nobody else: it holds the token and all inputs and outputs."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileNotFoundError:  # although its parents are made: the kernel's own file systems say so
        raise Failure(f"{folder} cannot be made there: choose another data folder with PINION_HOME=/path.") from None
    if (free := shutil.disk_usage(folder).free) < _LEAST_FREE_BYTES:
        raise Failure(
            f"The disk that holds {folder} is full ({free // 2**20} MB free): free some space, "
            "or choose a data folder on another disk with PINION_HOME=/path."
        )
    (folder / "logs").mkdir(exist_ok=True)


def stored_token(folder: Path) -> str | None:
    try:
        return (folder / "token").read_text().strip() or None
    except FileNotFoundError:
        return None


def obtain_token(folder: Path) -> str:
    """The token kept in the folder, made on first use."""
    if token := stored_token(folder):
        return token
    token = new_token()
    # Written aside and renamed: a start cut short must not leave half a token behind.
    draft = folder / "token.new"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(token + "\n")
    draft.rename(folder / "token")
    return token


def stored_address(folder: Path) -> str | None:
    """Where the last `up` on this folder listened, or listens."""
    address = _read_lock(folder).get("address")
    return address if isinstance(address, str) else None


def lock(folder: Path, address: str) -> int:
    """Claim the folder. The claim ends when the descriptor is closed in every process that has it."""
    descriptor = open_lock(folder / "lock")
    deadline = time.monotonic() + _WIND_DOWN_SECONDS
    while not try_lock(descriptor):
        holder = _read_lock(folder)
        if _is_alive(holder.get("pid")) or time.monotonic() > deadline:
            raise Failure(
                f"Pinion already runs on {folder} at {holder.get('address')} (process {holder.get('pid')}): "
                "use that one, stop it, or choose another data folder with PINION_HOME=/path."
            )
        time.sleep(0.05)
    note_address(descriptor, address)
    return descriptor


def note_address(descriptor: int, address: str) -> None:
    """Write into the lock who has it, and where the API listens."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "address": address}).encode(), 0)


def _read_lock(folder: Path) -> dict[str, object]:
    try:
        content = json.loads((folder / "lock").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
