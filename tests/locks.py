"""One process at a time where several run tests: what is made on first use is made by one of them.

The lock ends with the process that has it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.file_lock import open_lock


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Waits until nobody else is inside with this file."""
    descriptor = open_lock(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
