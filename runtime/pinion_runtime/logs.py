"""What a prediction prints: standard output and error are one pipe that the parent reads.

Nothing is captured or stored here; these functions see to it that the pipe holds everything in time.
"""

from __future__ import annotations

import ctypes
import io
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

_LINE_BUFFERED = 1  # _IOLBF of stdio.h
_NOT_THE_MODELS = (str(Path(__file__).parent), "<frozen importlib")


def prepare() -> None:
    """Whole lines at once, so that they keep their place between those of C code and of child processes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    with suppress(OSError, AttributeError, ValueError):  # where the C library names it differently, C prints later
        library = ctypes.CDLL(None)
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _LINE_BUFFERED, 0)


def flush() -> None:
    """After this all that was printed is in the pipe, also what C code printed."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(Exception):  # a model may have replaced or closed it
            stream.flush()  # type: ignore[union-attr]
    _flush_c(None)


def print_traceback(error: BaseException, clean: Callable[[str], str] = str) -> None:
    """As Python would, from the first line that is the model's own; `clean` takes out what must not be shown."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_NOT_THE_MODELS):
        trace = trace.tb_next
    flush()  # a line that was not ended was printed before
    with suppress(Exception):  # an exception whose text cannot be made must not hide that it happened
        sys.stderr.write(clean("".join(traceback.format_exception(type(error), error, trace))))


def _c_flush() -> Callable[[Any], Any]:
    try:
        return ctypes.CDLL(None).fflush
    except (OSError, AttributeError):
        return lambda stream: None


_flush_c = _c_flush()
