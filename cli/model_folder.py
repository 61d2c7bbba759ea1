"""What lies in a model's folder, and where its links lead: a link within the folder counts as what it leads to.

What is left out stands in `dockerignore`, and is judged by where a file really lies, as Docker does, which copies links
as they are. No file but `.dockerignore` is read.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from cli.dockerignore import Patterns, is_ignored, read_patterns
from cli.failure import Failure
from shared.storage import MAX_ENTRIES

_NEVER = (".git", "__pycache__", ".venv", ".cog")
_ENVIRONMENT = "pyvenv.cfg"
"""What Python marks a virtual environment with; it would not run anywhere else."""

Remark = Callable[[str], None]


def files_of(folder: Path, remark: Remark, *, may_lead_out: bool = False) -> list[str]:
    """The relative paths of all files that are not ignored, sorted; remarks say which links are left out, and why.

    Links to files elsewhere are among those, unless they are known to be meant.
    """
    ignore = folder / ".dockerignore"
    patterns = read_patterns(ignore.read_text(encoding="utf-8-sig", errors="replace")) if ignore.is_file() else []
    root = folder.resolve()
    found = list(
        islice(_ModelFolder(root, patterns, remark, may_lead_out=may_lead_out).below("", (root,)), MAX_ENTRIES + 1)
    )
    if len(found) > MAX_ENTRIES:
        raise Failure(f"{folder} has more than {MAX_ENTRIES} files: let a .dockerignore name what no prediction needs.")
    return sorted(found)


class _ModelFolder:
    def __init__(self, root: Path, patterns: Patterns, remark: Remark, *, may_lead_out: bool) -> None:
        self._root = root
        self._patterns = patterns
        self._remark = remark
        self._may_lead_out = may_lead_out
        # Below an ignored folder there may be something that a later line takes back.
        self._is_final = not any(takes_back for _, takes_back in patterns)

    def below(self, name: str, chain: tuple[Path, ...]) -> Iterator[str]:
        """The files below a folder called `name`; `chain` are the real places of all folders down to it."""
        for place in sorted(chain[-1].iterdir()):
            path = name + place.name
            if place.is_dir():
                target = self._enter(place, path, chain)
                yield from self.below(f"{path}/", (*chain, target)) if target else ()
            elif not self._is_ignored(place):
                if reason := place.is_symlink() and self._why_not_sent(place):
                    self._remark(f"{path} is a link {reason}: left out.")
                else:
                    yield path

    def _enter(self, place: Path, path: str, chain: tuple[Path, ...]) -> Path | None:
        """Where to go on for what is in a folder, if anything in it can count."""
        if not place.is_symlink():
            is_left_out = self._is_never(place) or (self._is_final and self._is_ignored(place)) or place in chain
            return None if is_left_out else place
        if self._is_never(place) or self._is_ignored(place):
            return None
        target = place.resolve()
        if reason := self._why_not(target, chain):
            self._remark(f"{path} is a link {reason}: left out.")
            return None
        return target

    def _why_not(self, target: Path, chain: tuple[Path, ...]) -> str | None:
        """Why a link is not followed, if so: what it leads to is not where it would be in Cog's image either."""
        if not target.is_relative_to(self._root):
            return "that leads out of the folder"
        if target in chain:
            return "to a folder that it lies in"
        inner = (target, *self._folders_of(target))
        if (self._is_final and self._is_ignored(target)) or any(self._is_never(each) for each in inner):
            return "to what is not sent"
        return None

    def _why_not_sent(self, link: Path) -> str | None:
        """The same of a link to a file: one that leads out could have anything of this machine sent."""
        if not link.exists():
            return "to nowhere"
        target = link.resolve()
        if not target.is_relative_to(self._root):
            return None if self._may_lead_out else "that leads out of the folder"
        is_left_out = self._is_ignored(target) or any(self._is_never(each) for each in self._folders_of(target))
        return "to what is not sent" if is_left_out else None

    def _folders_of(self, target: Path) -> Sequence[Path]:
        """Those between the model's folder and what lies in it."""
        return target.parents[: len(target.relative_to(self._root).parts) - 1]

    def _is_never(self, place: Path) -> bool:
        return place.name in _NEVER or (place / _ENVIRONMENT).is_file()

    def _is_ignored(self, place: Path) -> bool:
        return is_ignored(place.relative_to(self._root).as_posix(), self._patterns)
