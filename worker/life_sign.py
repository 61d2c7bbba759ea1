"""A sign of life that cannot lie: a file that a process has locked for as long as it lives, however it ends.

Only processes of the same host can read it: where a folder is shared with other hosts, their locks may not be seen.
What follows from a death is decided in `sweep`.
"""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.file_lock import open_lock, try_lock


def sign_of(home: Path, name: str) -> Path:
    """The file of the process that goes by this name."""
    return home / "run" / f"{name}.lock"


def give_sign(home: Path, name: str) -> int:
    """A descriptor that is the sign until it is closed; nobody sees the file before it is locked."""
    sign = sign_of(home, name)
    fresh = sign.with_suffix(".new")
    descriptor = open_lock(fresh)
    try_lock(descriptor)  # nobody else knows the name yet
    os.write(descriptor, _HOST)
    fresh.rename(sign)
    return descriptor


def take_back(home: Path, name: str, descriptor: int) -> None:
    """End the sign of a process that ends, or that goes by another name now."""
    sign_of(home, name).unlink(missing_ok=True)
    os.close(descriptor)


@contextmanager
def living(home: Path, name: str) -> Iterator[None]:
    """The sign is given while inside."""
    descriptor = give_sign(home, name)
    try:
        yield
    finally:
        take_back(home, name, descriptor)


def dead(home: Path) -> list[str]:
    """The names of processes of this host whose sign is there and locked by nobody."""
    return [sign.stem for sign in (home / "run").glob("*.lock") if _is_given_up(sign)]


def bury(home: Path, names: Iterable[str]) -> None:
    """Remove the signs of the dead, once what follows from their death has been done."""
    for name in names:
        sign_of(home, name).unlink(missing_ok=True)


def _host() -> bytes:
    """The same for all containers of a machine, and another one after it was started anew, where the system tells."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return socket.gethostname().encode()


_HOST = _host()


def _is_given_up(sign: Path) -> bool:
    try:
        descriptor = os.open(sign, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # it has just ended as it should
    try:
        return os.read(descriptor, len(_HOST) + 1) == _HOST and try_lock(descriptor)
    finally:
        os.close(descriptor)
