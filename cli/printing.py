"""How commands answer: sentences for people, tables for both.

What is said is the commands' business.
"""

import sys
from collections.abc import Sequence


def say(line: str) -> None:
    """To a person; stdout is for programs."""
    print(line, file=sys.stderr)


def show(heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> None:
    """In columns as wide as they have to be, also where nobody looks but a program."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
