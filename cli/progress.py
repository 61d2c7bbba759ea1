"""A bar that grows while bytes pass, for a person at a terminal; for a program nothing is shown.

What passes is the caller's business.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Below that it is over before one could read it.
_WORTH_SHOWING_BYTES = 8 << 20


@contextmanager
def progress(what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Gives a function to be called with each number of bytes that has passed."""
    if total_bytes < _WORTH_SHOWING_BYTES or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total_bytes)
        yield lambda count: bar.advance(task, count)
