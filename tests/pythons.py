"""Other Pythons of this machine, of every minor version a model may bring."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

MINORS = range(8, 14)


def other_pythons() -> list[object]:
    """Parameters for a test; where none is found, one that says so."""
    pythons: list[object] = [pytest.param(python, id=f"3.{minor}") for minor, python in found_pythons().items()]
    missing = pytest.mark.skip(reason="no other Python from 3.8 to 3.13 on this machine")
    return pythons or [pytest.param(None, marks=missing, id="none")]


@cache
def found_pythons() -> dict[int, Path]:
    """By their minor version, without the one that runs the tests; the oldest first."""
    found = {minor: _find(minor) for minor in MINORS if minor != sys.version_info.minor}
    return {minor: python for minor, python in found.items() if python}


def minor_of(python: Path) -> str:
    """Its version as cog.yaml would ask for it."""
    question = "import sys; print(*sys.version_info[:2], sep='.')"
    return subprocess.run([python, "-c", question], capture_output=True, text=True, check=True).stdout.strip()


def _find(minor: int) -> Path | None:
    """On the path, else where pyenv keeps its own; a shim that leads nowhere does not count."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [shutil.which(f"python3.{minor}"), *sorted(root.glob(f"3.{minor}.*/bin/python3"))]
    return next((Path(each) for each in candidates if each and _answers(each, minor)), None)


def _answers(python: str | Path, minor: int) -> bool:
    try:
        return minor_of(Path(python)) == f"3.{minor}"
    except subprocess.CalledProcessError:
        return False
