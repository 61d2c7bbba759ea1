"""The watchdog: ends what `pinion up` had started when `up` itself was killed and could not.

Starts nothing, and does nothing as long as `up` lives or ends in order. A script of the standard library alone.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from glob import glob

# Longer than a worker drains its running predictions, short enough to be gone within ten seconds.
_GRACE_SECONDS = 8.0


def watch(descriptor: int) -> None:
    """Note which process groups live (`+pid`, `-pid`) until the other end is closed, then end those left."""
    groups: dict[int, None] = {}
    with open(descriptor) as notes:
        for note in notes:
            pid = int(note[1:])
            if note.startswith("+"):
                groups[pid] = None
            else:
                groups.pop(pid, None)
    end(groups)


def end(groups: Iterable[int]) -> None:
    """Ask the leaders to stop; after the grace kill whatever is left of their groups."""
    left = [pid for pid in groups if _signal_leader(pid)]
    deadline = time.monotonic() + _GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if _signal_group(pid, 0) or any(_groups_of_session(pid))]
    for pid in left:
        kill(pid)


def kill(leader: int) -> None:
    """Kill the leader's group and, where the system tells, every other group of its session: those of models."""
    for group in {leader, *_groups_of_session(leader)}:
        _signal_group(group, signal.SIGKILL)


def _groups_of_session(leader: int) -> Iterator[int]:
    for place in glob("/proc/[0-9]*/stat"):
        try:
            with open(place) as file:
                group, session = file.read().rpartition(")")[2].split()[2:4]
        except OSError:  # it has just ended
            continue
        if int(session) == leader:
            yield int(group)


def _signal_leader(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return _signal_group(pid, 0)
    return True


def _signal_group(pid: int, number: int) -> bool:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # PermissionError is how macOS answers for a group of zombies
        return False
    return True


if __name__ == "__main__":
    # Whoever stops the whole machine or service signals us too; we have to outlive `up`, not to go before it.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watch(int(sys.argv[1]))
