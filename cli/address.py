"""Where the API is to listen: reading the setting, and telling beforehand who is in the way.

No request is sent here.
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.failure import Failure

_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
_LISTENING = "0A"  # the state's number in /proc/net/tcp


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    @property
    def near_host(self) -> str:
        """The host a client on this machine connects to: one can listen everywhere, but not connect there."""
        return _EVERYWHERE.get(self.host, self.host)

    @property
    def url(self) -> str:
        host = f"[{self.near_host}]" if ":" in self.near_host else self.near_host
        return f"http://{host}:{self.port}"


def read_address(environment: Mapping[str, str]) -> Address:
    text = environment.get("PINION_PORT") or "8000"
    if not text.isdecimal() or int(text) > 65535:
        raise Failure(f"PINION_PORT={text} is not a port: give a number from 0 (any free one) to 65535.")
    return Address(environment.get("PINION_HOST") or "127.0.0.1", int(text))


def claim(wanted: Address) -> Address:
    """The address, known to be free just now; port 0 becomes a free port's number."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            wanted.host or None, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server itself does: connections of an earlier run may linger in TIME_WAIT.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            return Address(wanted.host, probe.getsockname()[1])
    except OSError as error:
        raise Failure(_why_not(wanted, error)) from None


def _why_not(wanted: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = find_listener(wanted.port)
        return (
            f"Port {wanted.port} is taken{f' by {holder}' if holder else ''}: "
            f"stop that, or choose another port with PINION_PORT={wanted.port % 65535 + 1} ./pinion up"
        )
    if error.errno == errno.EACCES:
        return f"Port {wanted.port} is reserved for root: choose one above 1023 with PINION_PORT=8000 ./pinion up"
    return f"PINION_HOST={wanted.host} is no address of this machine ({error.strerror}): use 127.0.0.1 or 0.0.0.0."


def find_listener(port: int) -> str | None:
    """Name and number of the process on a port; None where the system does not tell (macOS, other users)."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(link) in inodes for link in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # gone meanwhile, or another user's
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]
