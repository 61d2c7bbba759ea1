"""Places where a test has this process killed at once, to see what it leaves behind.

Without PINION_CRASH_FILE, which is for tests alone, nothing happens here.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

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
_file: Path | None = None


def listen(file: Path | None) -> None:
    """Heed a file that holds a point, or `point:n` for the nth time that it is passed, whenever it appears."""
    global _file
    _file = file


def at(point: str) -> None:
    """We are at this point now."""
    if _file is None:
        return
    with suppress(FileNotFoundError):
        wanted, _, times = _file.read_text().partition(":")
        if wanted != point:
            return
        left = int(times or 1) - 1
        if left:
            _file.write_text(f"{point}:{left}")
            return
        _file.unlink()  # whoever comes after us lives
        os.kill(os.getpid(), signal.SIGKILL)
