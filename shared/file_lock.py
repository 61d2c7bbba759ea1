"""Locks on files, among all processes that share a folder: each ends with the process that has it, however that dies.

What a lock stands for is known by whoever takes it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_lock(file: Path) -> int:
    """A descriptor to be locked; no process that is started from here inherits it."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, *, is_shared: bool = False) -> bool:
    """Whether the lock is ours now, until the descriptor is closed in every process that has it.

    A shared one can be had by many at once, as long as nobody has it alone.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give a lock back, if it is ours."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


@contextmanager
def shared_lock(file: Path) -> Iterator[None]:
    """Have a lock together with others, and wait for whoever has it alone; blocks."""
    descriptor = open_lock(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
