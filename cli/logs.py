"""The log files of the services: kept small, read from the end, shown while they grow.

What is written into them is the services' own business.
"""

import asyncio
from collections.abc import Callable
from os import SEEK_END
from pathlib import Path
from typing import TextIO

_LARGEST_BYTES = 10 * 1024 * 1024
_TAIL_BYTES = 16 * 1024
_LOOK_SECONDS = 0.2


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def rotate(log: Path) -> None:
    """Begin anew when the log has grown large; one old one is kept."""
    if size(log) > _LARGEST_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def last_line(log: Path, since: int) -> str:
    """The last thing written after a position: of a traceback that is the error itself."""
    try:
        with log.open("rb") as file:
            file.seek(max(since, size(log) - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


async def follow(log: Path, show: Callable[[str], None]) -> None:
    """Show each line from now on, for ever."""
    with _open_at_end(log) as file:
        while True:
            if line := file.readline():
                show(f"{log.stem} | {line.rstrip()}")
            else:
                await asyncio.sleep(_LOOK_SECONDS)


def _open_at_end(log: Path) -> TextIO:
    log.touch()
    file = log.open(errors="replace")
    file.seek(0, SEEK_END)
    return file
