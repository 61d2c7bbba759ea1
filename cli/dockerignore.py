"""The rules of `.dockerignore`, as Docker reads it.

No file is read here: which of them are there is `model_folder`'s business.
"""

import os
import re

from cli.failure import Failure

Patterns = list[tuple[re.Pattern[str], bool]]
"""Expressions over whole paths, each with whether it takes back what an earlier one ignores."""


def read_patterns(text: str) -> Patterns:
    patterns = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        takes_back = line.strip().startswith("!")
        pattern = os.path.normpath(line.strip().removeprefix("!").strip()).lstrip("/")
        if pattern and pattern != ".":
            patterns.append((_compile(pattern), takes_back))
    return patterns


def is_ignored(path: str, patterns: Patterns) -> bool:
    """As Docker decides: the last pattern that matches the path or a folder above it."""
    parts = path.split("/")
    names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for pattern, takes_back in patterns:
        if any(pattern.fullmatch(name) for name in names):
            ignored = not takes_back
    return ignored


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(_translate(pattern))
    except re.error:
        raise Failure(f"The line {pattern} of .dockerignore is no pattern: correct it.") from None


def _translate(pattern: str) -> str:
    """`*` and `?` stay within one folder; `**/` stands for any number of folders, also none; `\\` makes plain."""
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(wildcards.get(piece) or _literal(piece) for piece in _PIECES.split(pattern))


_PIECES = re.compile(r"(\\.|\*\*/|\*\*|\*|\?|\[[^]]+\])")


def _literal(piece: str) -> str:
    if piece.startswith("["):
        return piece
    return re.escape(piece[1:] if piece.startswith("\\") and len(piece) == 2 else piece)
