"""Python clients that cannot live in our own environment: each gets one of its own, made on first use by uv.

A script in `python/` is run in it and answers with one line of JSON.
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
from tests.locks import alone

FOLDER = Path(__file__).parent / "python"
ENVIRONMENTS = Path(sys.prefix) / "clients"
CLIENTS = {
    "langchain": ("langchain-community==0.4.2", "replicate==1.0.7"),
    # It has the name of the 1.x that stands in our own environment.
    "replicate-2": ("replicate==2.0.0b4",),
}

_UNREACHABLE = re.compile(
    "Failed to fetch|dns error|error sending request|not found in the (package registry|cache)|no versions? of"
)
_INSTALL_SECONDS = 180
_RUN_SECONDS = 120


def require(client: str) -> None:
    """Skips the test, with the reason, where the packages cannot be had."""
    with alone(ENVIRONMENTS / f"{client}.lock"):
        _install(client)


def _install(client: str) -> None:
    packages = CLIENTS[client]
    done = ENVIRONMENTS / client / "installed"
    if done.exists() and done.read_text() == repr(packages):
        return
    environment = {**os.environ, **uv_settings(sys.executable)}
    for command in (["venv", "--clear", done.parent], ["pip", "install", "--python", _python(client), *packages]):
        made = subprocess.run(
            [find_uv_bin(), *command, "--quiet"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
        )
        if _UNREACHABLE.search(made.stderr):
            pytest.skip(f"cannot be fetched: {', '.join(packages)}")
        assert made.returncode == 0, made.stderr
    done.write_text(repr(packages))


def answer_of(instance: Instance, client: str, script: str, *arguments: Any, base_url: str = "") -> Any:
    """What a script answers; arguments that are no text become JSON."""
    texts = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
    given = {**instance.client_environment, "PYTHONWARNINGS": "ignore"}
    if base_url:
        given["REPLICATE_BASE_URL"] = base_url
    command = [_python(client), FOLDER / script, *texts]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=_RUN_SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def called(instance: Instance, name: str, *arguments: Any, base_url: str = "", **options: Any) -> Any:
    """What a call of `calls_2.py` gave or raised in the Python client 2.x, whose base URL has the version in it."""
    base = base_url or f"{instance.address}/v1"
    return answer_of(instance, "replicate-2", "calls_2.py", name, arguments, options, base_url=base)


def _python(client: str) -> Path:
    return ENVIRONMENTS / client / "bin" / "python"
