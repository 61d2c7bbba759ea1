"""Which files of a folder are a model's: the rules of `.dockerignore`, as Docker reads it.

No file but that one is read.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cli.failure import Failure

_NEVER = (".git", "__pycache__", ".venv", ".cog")

Patterns = list[tuple[re.Pattern[str], bool]]
"""Expressions over whole paths, each with whether it takes back what an earlier one ignores."""


def files_of(folder: Path) -> list[str]:
    """The relative paths of all files that are not ignored, sorted."""
    ignore = folder / ".dockerignore"
    patterns = read_patterns(ignore.read_text(encoding="utf-8-sig", errors="replace")) if ignore.is_file() else []
    return sorted(path for path in _walk(folder, patterns) if not is_ignored(path, patterns))


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


def _walk(folder: Path, patterns: Patterns) -> Iterator[str]:
    # Below an ignored folder there may be something that a later line takes back.
    is_final = not any(takes_back for _, takes_back in patterns)
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = [name for name in folders if name not in _NEVER]
        if is_final:
            folders[:] = [name for name in folders if not is_ignored(_name(folder, here / name), patterns)]
        for name in folders:
            if (here / name).is_symlink() and not is_ignored(_name(folder, here / name), patterns):
                raise Failure(f"{here / name} is a link to a folder, which is not followed: copy it, or ignore it.")
        yield from (_name(folder, here / name) for name in files)


def _name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
