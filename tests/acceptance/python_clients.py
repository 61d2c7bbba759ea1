"""Python clients that cannot live in our own environment: each gets one of its own, made on first use by uv.

A script beside `python/` is run in it and answers with one line of JSON.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.package_sources import uv_settings
from tests.instance import Instance

FOLDER = Path(__file__).parent / "python"
ENVIRONMENTS = Path(sys.prefix) / "clients"

_UNREACHABLE = re.compile("Failed to fetch|dns error|error sending request|not found in the (package registry|cache)")
_INSTALL_SECONDS = 180
_RUN_SECONDS = 60
_UV = (sys.executable, "-m", "uv")


def require(client: str, *packages: str) -> None:
    """Skips the test, with the reason, where the packages cannot be had."""
    done = ENVIRONMENTS / client / "installed"
    if done.exists() and done.read_text() == repr(packages):
        return
    environment = {**os.environ, **uv_settings(sys.executable)}
    for command in (["venv", "--clear", done.parent], ["pip", "install", "--python", _python(client), *packages]):
        made = subprocess.run(
            [*_UV, *command, "--quiet"], env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS
        )
        if _UNREACHABLE.search(made.stderr):
            pytest.skip(f"cannot be fetched: {', '.join(packages)}")
        assert made.returncode == 0, made.stderr
    done.write_text(repr(packages))


def answer_of(instance: Instance, client: str, script: str, *arguments: Any, **environment: str) -> Any:
    """What a script answers; arguments that are no text become JSON."""
    texts = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
    command = [_python(client), FOLDER / script, *texts]
    given = {**instance.client_environment, **environment}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=_RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _python(client: str) -> Path:
    return ENVIRONMENTS / client / "bin" / "python"
