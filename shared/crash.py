"""Places where a test has this process killed at once, to see what it leaves behind.

Without PINION_CRASH_AT, which is for tests alone, nothing happens here.
"""

import os
import re
import signal

POINTS = (
    "before_insert",  # of a create, in the API
    "before_send",  # committed, and Redis not told, in any process
    "before_answer",  # of a create
    "after_claim",  # in a worker
    "after_output",  # an item taken from the model
    "before_end",  # everything out, the terminal status not written
    "after_end",
    "before_post",  # of a webhook, in the sender
    "after_post",  # answered, and not noted
    "after_note",
)
PATTERN = re.compile(rf"({'|'.join(POINTS)})(?::([1-9]\d*))?|")
"""A point, and the how manyth time that it is passed."""
_armed: dict[str, int] = {}


def arm(wish: str) -> None:
    """Die at a point, as `Settings.crash_at` has it."""
    found = PATTERN.fullmatch(wish)
    if found and found[1]:
        _armed[found[1]] = int(found[2] or 1)


def at(point: str) -> None:
    """We are at this point now."""
    if point not in _armed:
        return
    _armed[point] -= 1
    if not _armed[point]:
        os.kill(os.getpid(), signal.SIGKILL)
