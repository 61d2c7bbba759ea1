"""What a model process gives up before it runs a line of the model's: ways to outlive its parent, and rights.

Where the system does not know one of these, the model runs without it. Its environment is chosen by the parent. What
each of them is for stands in docs/security.md.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES_MAX = 64
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID: in a container root works on folders that belong to others.
_OF_FILES = (0, 1, 3, 4)
# Many more than loaders of data and their workers need, and too few to keep the machine from opening any.
_OPEN_FILES = 65_536
# Threads count, also those of the user's other programs; so it is as many more than there are now.
_MORE_TASKS = 8192


def confine() -> None:
    """To be called first, in the main thread."""
    # A group of our own, to be ended with all that the model starts; in the session of our parent, to be ended with it.
    # In a sandbox there is one already, and its leader, whom we cannot see from here, stands for all of us.
    if os.getpgrp() != 0:
        with contextlib.suppress(PermissionError):  # whoever leads a session leads a group as well
            os.setpgid(0, 0)
    # Linux ends us when the parent dies, even in the middle of C code; elsewhere the end of file has to do.
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _control(_PR_SET_NO_NEW_PRIVS, 1)  # nothing it starts may become another user
    _drop_capabilities()
    os.umask(0o077)  # what it writes is nobody else's
    _limit(resource.RLIMIT_CORE, 0)  # a memory image of a crash would hold inputs and weights
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, _tasks() + _MORE_TASKS)


def _limit(kind: int, most: int) -> None:
    """Never above what we have been given ourselves."""
    with contextlib.suppress(ValueError, OSError):
        soft, hard = (most if each == resource.RLIM_INFINITY else min(each, most) for each in resource.getrlimit(kind))
        resource.setrlimit(kind, (soft, hard))


def _tasks() -> int:
    """Of this user, with all their threads, as far as they can be seen."""
    count = 0
    with contextlib.suppress(OSError):  # only Linux tells
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):  # it has just ended
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    count += os.stat(f"/proc/{name}/task").st_nlink - 2
    return count


def _drop_capabilities() -> None:
    """Only root has any. Without them all, its other processes are closed to us: what they hold in memory, too."""
    for capability in range(_CAPABILITIES_MAX):
        if capability not in _OF_FILES:
            _control(_PR_CAPBSET_DROP, capability)
    kept = sum(1 << capability for capability in _OF_FILES)
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        header, data = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
        if library.capget(header, data) == 0:
            for part in (0, 1, 2):  # effective, permitted, inheritable; all that is kept is among the first 32
                data[part] &= kept
                data[part + 3] = 0
            library.capset(header, data)


def _control(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
