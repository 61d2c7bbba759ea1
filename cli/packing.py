"""A model's folder as one tar archive, without what `.dockerignore` names.

The same files give the same bytes, whoever packs them and when. Nothing is sent here.
"""

import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cli.failure import Failure

_NEVER = (".git", "__pycache__", ".venv")


def pack(folder: Path, target: IO[bytes]) -> None:
    """Write the archive; the model's files lie at its top."""
    # A link to a file is packed as that file: weights of the Hub's cache are links to outside the folder.
    with tarfile.open(fileobj=target, mode="w", dereference=True, format=tarfile.PAX_FORMAT) as archive:
        for path in files_of(folder):
            archive.add(folder / path, arcname=path, recursive=False, filter=_without_origin)


def files_of(folder: Path) -> list[str]:
    """The relative paths of all files to pack, sorted."""
    ignore = folder / ".dockerignore"
    patterns = read_patterns(ignore.read_text()) if ignore.is_file() else []
    return sorted(path for path in _walk(folder) if not is_ignored(path, patterns))


def read_patterns(text: str) -> list[tuple[re.Pattern[str], bool]]:
    """Each line as an expression over whole paths, and whether it takes back what an earlier one ignores."""
    patterns = []
    for line in map(str.strip, text.splitlines()):
        takes_back = line.startswith("!")
        pattern = line.removeprefix("!").strip().strip("/").removeprefix("./")
        if pattern and not line.startswith("#"):
            patterns.append((re.compile(_translate(pattern)), takes_back))
    return patterns


def is_ignored(path: str, patterns: list[tuple[re.Pattern[str], bool]]) -> bool:
    """As Docker decides: the last pattern that matches the path or a folder above it."""
    parts = path.split("/")
    names = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    ignored = False
    for pattern, takes_back in patterns:
        if any(pattern.fullmatch(name) for name in names):
            ignored = not takes_back
    return ignored


def _translate(pattern: str) -> str:
    """`*` and `?` stay within one folder; `**/` stands for any number of folders, also none."""
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    return "".join(wildcards.get(piece) or (piece if piece.startswith("[") else re.escape(piece)) for piece in pieces)


def _walk(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NEVER]
        for name in folders:
            if (Path(place) / name).is_symlink():
                raise Failure(f"{Path(place) / name} is a link to a folder, which an archive cannot follow: copy it.")
        for name in files:
            yield (Path(place) / name).relative_to(folder).as_posix()


def _without_origin(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    entry.mode = 0o755 if entry.mode & 0o100 else 0o644
    return entry
