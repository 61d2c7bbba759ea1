"""What a model process gives up before it runs a line of the model's: ways to outlive its parent and to gain rights.

Where the system does not know one of these, the model runs without it. Its environment is chosen by the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine() -> None:
    """To be called first, in the main thread."""
    # A group of our own, to be ended with all that the model starts; in the session of our parent, to be ended with it.
    with contextlib.suppress(PermissionError):  # whoever leads a session leads a group as well
        os.setpgid(0, 0)
    # Linux ends us when the parent dies, even in the middle of C code; elsewhere the end of file has to do.
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _control(_PR_SET_NO_NEW_PRIVS, 1)  # nothing it starts may become another user
    os.umask(0o077)  # what it writes is nobody else's
    with contextlib.suppress(ValueError, OSError):  # a memory image of a crash would hold inputs and weights
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _control(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
