"""Closes a process of the service to other programs of its user, models among them.

Files are not touched: who may read those is decided by their owner and mode, or by a sandbox.
"""

import ctypes
from contextlib import suppress

_PR_SET_DUMPABLE = 4


def seal() -> None:
    """From now on its memory, environment and descriptors are closed to all but root; where the system can (Linux).

    What it starts is not sealed.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
