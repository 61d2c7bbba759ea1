"""A sign of life that cannot lie: a file that a process has locked for as long as it lives, however it ends.

Only processes that share the folder can read it. What follows from a death is decided in `sweep`.
"""

import os
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
    """The names of processes whose sign is there and locked by nobody."""
    return [sign.stem for sign in (home / "run").glob("*.lock") if _is_unlocked(sign)]


def bury(home: Path, names: Iterable[str]) -> None:
    """Remove the signs of the dead, once what follows from their death has been done."""
    for name in names:
        sign_of(home, name).unlink(missing_ok=True)


def _is_unlocked(sign: Path) -> bool:
    try:
        descriptor = os.open(sign, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False  # it has just ended as it should
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
