"""What went wrong, in words a person can read.

Nothing is raised or sent here.
"""

from __future__ import annotations

import re
from typing import Callable

_LIMIT_BYTES = 4096
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class ModelError(Exception):
    """The model cannot be used as it is; the text says what to change. No traceback is needed."""


class InputError(Exception):
    """The input does not fit the parameters."""


def text_of(error: BaseException, clean: Callable[[str], str] = str) -> str:
    """The message of an exception, else its class; at most 4 KiB, printable. `clean` sees it before it is cut."""
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # str() of a foreign class may do anything
        message = f"{name}, whose message cannot be shown"
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        message = f"{name}: {message}" if message else name
    return _shortened(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", clean(message))) or name


def _shortened(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _LIMIT_BYTES:
        return message
    return encoded[: _LIMIT_BYTES - 3].decode(errors="ignore") + "\N{HORIZONTAL ELLIPSIS}"
