"""Moments as people write them on a command line.

What becomes of them is the commands' business.
"""

import re
from datetime import datetime, timedelta

from cli.failure import Failure

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_AGO = re.compile(r"(\d{1,5})([smhd])")


def moment(text: str, now: datetime) -> datetime:
    """A moment as written, or so long ago."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text} is no moment: write it like 2026-11-27T08:00:00Z, or 90m, 12h, 3d for so long ago."
        ) from None
    return found if found.tzinfo else found.astimezone()
