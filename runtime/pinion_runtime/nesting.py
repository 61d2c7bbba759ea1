"""How deeply an output is nested: beyond a limit, readers on its way to the client would give up.

The output is JSON already; nothing is encoded here.
"""

from __future__ import annotations

import re

LEVELS_MAX = 100

_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^][{}"]+')
_AS_SQUARE = str.maketrans("{}", "[]")


def is_too_deep(encoded: str) -> bool:
    """Takes the innermost brackets away, level by level: a loop over values would cost more than encoding them."""
    if len(encoded) <= 2 * LEVELS_MAX or encoded.count("[") + encoded.count("{") <= LEVELS_MAX:
        return False
    brackets = _NO_BRACKETS.sub("", encoded).translate(_AS_SQUARE)
    for _ in range(LEVELS_MAX):
        brackets = brackets.replace("[]", "")
    return bool(brackets)
