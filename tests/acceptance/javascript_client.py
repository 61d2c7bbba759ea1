"""Node and the JavaScript clients: installed on first use into a folder that git ignores, then run script by script."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.instance import Instance
from tests.locks import alone

FOLDER = Path(__file__).parent / "javascript"

_UNREACHABLE = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network|E40[1347]")
_INSTALL = ("install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error")
_INSTALL_SECONDS = 120
_RUN_SECONDS = 60


def require() -> None:
    """Skips the test, with the reason, where there is no Node or no way to the client's package."""
    missing = [program for program in ("node", "npm") if not shutil.which(program)]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    with alone(Path(sys.prefix) / "javascript.lock"):
        _install()


def _install() -> None:
    if _installed() != _wanted():
        command = ["npm", *_INSTALL]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        if done.returncode and _UNREACHABLE.search(done.stderr):
            pytest.skip(f"npm cannot fetch the client: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr


def run(instance: Instance, *arguments: str, stdin: str = "", **environment: str) -> str:
    """What Node writes; the client's package can be imported as if the script lay beside package.json."""
    given = {**instance.client_environment, **environment}
    command = ["node", *arguments]
    done = subprocess.run(
        command, cwd=FOLDER, env=given, input=stdin, capture_output=True, text=True, timeout=_RUN_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def answer_of(instance: Instance, script: str, *arguments: Any, stdin: str = "", **environment: str) -> Any:
    """What a script of ours answers; arguments that are no text become JSON."""
    texts = [argument if isinstance(argument, str) else json.dumps(argument) for argument in arguments]
    return json.loads(run(instance, script, *texts, stdin=stdin, **environment))


def _wanted() -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return found


def _installed() -> dict[str, str]:
    manifests = [FOLDER / "node_modules" / name / "package.json" for name in _wanted()]
    found = [json.loads(manifest.read_text()) for manifest in manifests if manifest.exists()]
    return {manifest["name"]: manifest["version"] for manifest in found}
