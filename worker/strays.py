"""Processes of a model that have left its group, as daemons do: known by the temporary folder they were given.

Only where the system shows what processes were given (Linux); one that has rid itself of it is not found.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

_ROUNDS = 100
_PAUSE_SECONDS = 0.01


def end_strays(temporary: Path) -> None:
    """Kill whoever was started with this TMPDIR, again and again while they start others. Blocks."""
    mark = b"\0TMPDIR=" + os.fsencode(temporary) + b"\0"
    for _ in range(_ROUNDS):
        found = [pid for pid in _processes() if mark in b"\0" + _environment(pid)]
        if not found:
            return
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def _processes() -> list[int]:
    with suppress(FileNotFoundError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return []


def _environment(pid: int) -> bytes:
    """As it was when its program began; nothing for those that are over, or not ours."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()
    return b""
