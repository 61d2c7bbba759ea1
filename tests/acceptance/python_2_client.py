"""Replicate's Python client 2.x: installed on first use into an environment that git ignores, and called there.

It has the name of the 1.x that stands in our own environment, so the two cannot live in one.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from shared.package_sources import uv_settings
from tests.instance import Instance

FOLDER = Path(__file__).parent / "python_2"
WANTED = "replicate==2.0.0b4"
_PYTHON = FOLDER / ".venv" / "bin" / "python"
_STAMP = FOLDER / ".venv" / "installed"
_MISSING = re.compile("not found in the package registry|no versions? of|[Nn]etwork|dns error|Failed to fetch|Connect")
_SECONDS = 120


def require() -> None:
    """Skips the test, with the reason, where no index has the package."""
    if _STAMP.exists() and _STAMP.read_text() == WANTED:
        return
    _uv("venv", "--clear", "--python", sys.executable, str(_PYTHON.parent.parent)).check_returncode()
    done = _uv("pip", "install", "--python", str(_PYTHON), WANTED)
    if done.returncode and _MISSING.search(done.stderr):
        pytest.skip(f"{WANTED} cannot be had: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    _STAMP.write_text(WANTED)


def call(instance: Instance, name: str, *arguments: Any, base_url: str = "", **options: Any) -> Any:
    """What a function of `calls.py` answers, or what it raised."""
    base = base_url or f"{instance.address}/v1"
    environment = {**instance.client_environment, "REPLICATE_BASE_URL": base, "PYTHONWARNINGS": "ignore"}
    command = [_PYTHON, FOLDER / "calls.py", name, *map(json.dumps, (*arguments, options))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _uv(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **uv_settings(sys.executable)}
    command = [find_uv_bin(), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS)
