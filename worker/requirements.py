"""What a model wants installed: the lines of python_packages or of its requirements file, as uv takes them.

Included files are folded in, so that equal wishes are equal texts. Nothing is installed here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from worker.events import SetupFailed
from worker.manifest import Build

_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]*(?P<place>.+)")
_PLACE = re.compile(r"(?P<option>-c|--constraint|-f|--find-links)[\s=]*(?P<place>.+)")
_SOURCE = re.compile(r"-f\b|-i\b|--(find-links|index-url|extra-index-url|no-index|pre|trusted-host)\b")
_OF_THE_FOLDER = re.compile(r"(-e|--editable)\b|\.{1,2}(/|$)|(?!https?:)[^\s@]*\.(whl|zip|tar\.gz)$|.*\bfile:\.")
# Cog lets them stand behind a package's name; pip and uv want a line for each.
_INLINE = re.compile(r"\s(?=--(?:extra-index-url|index-url|find-links)[\s=])")
_COMMENT = re.compile(r"(^|\s+)#.*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS = {"cog", "coglet"}
_COG_WHEEL = re.compile(r"https?://\S*/cog(let)?-[^/]+")


@dataclass(slots=True)
class Requirements:
    """Lines of a requirements file whose relative places are those of the model's folder."""

    lines: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    names_files: bool = False
    """Whether files of the folder are installed, so that the lines alone do not say what."""

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)

    @property
    def sources(self) -> list[str]:
        """The lines that say where packages come from."""
        return [line for line in self.lines if _SOURCE.match(line)]


def read_requirements(build: Build, folder: Path) -> Requirements:
    """Everything the model wants installed; raises SetupFailed."""
    found = Requirements()
    lines: Iterator[str] = iter(build.python_packages)
    if build.python_requirements:
        lines = _lines_of(folder, build.python_requirements, "`build.python_requirements` in cog.yaml", ())
    for line in lines:
        for part in _INLINE.split(line.strip()):
            _add(found, part)
    return found


def package_name(line: str) -> str:
    """The normalised name a line begins with; empty for an option or a place."""
    found = _NAME.match(line)
    return re.sub(r"[._-]+", "-", found[0]).lower() if found else ""


def _add(found: Requirements, line: str) -> None:
    if package_name(line) in _OURS or _COG_WHEEL.fullmatch(line):
        found.remarks.append(f"{line} is left out: Pinion brings a cog module of its own.")
        return
    place = _PLACE.fullmatch(line)
    is_relative = bool(place and "://" not in place["place"] and not place["place"].startswith("/"))
    found.names_files |= is_relative or bool(_OF_THE_FOLDER.match(line))
    found.lines.append(line)


def _lines_of(folder: Path, name: str, named_by: str, above: tuple[Path, ...]) -> Iterator[str]:
    """The lines of a file, with those of the files it includes in their places."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise SetupFailed(f"{named_by} names {name}, but the model has no such file.")
    if path in above:
        raise SetupFailed(f"{named_by} names {name}, which includes itself.")
    try:
        text = path.read_text(encoding="utf-8-sig").replace("\\\n", " ")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupFailed(f"{name} cannot be read: {error}") from error
    for line in filter(None, (_COMMENT.sub("", raw).strip() for raw in text.splitlines())):
        if include := _INCLUDE.fullmatch(line):
            nested = path.parent / include["place"].strip("'\"")
            yield from _lines_of(folder, str(nested), name, (*above, path))
        else:
            yield _relative_to_folder(line, path.parent, folder.resolve())


def _relative_to_folder(line: str, beside: Path, folder: Path) -> str:
    """A place that an included file names beside itself, as seen from the model's folder."""
    found = _PLACE.fullmatch(line)
    if not found or "://" in found["place"]:
        return line
    place = (beside / found["place"].strip("'\"")).resolve()
    return f"{found['option']} {place.relative_to(folder)}" if place.is_relative_to(folder) else line
