"""Which Pythons are on this machine, and which of them a model's python_version means.

None is ever downloaded, and none is started here but by uv, which asks each for its version.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from worker.events import SetupFailed

OWN_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_ASK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Interpreter:
    path: Path
    version: str


def is_own(wanted: str | None) -> bool:
    """Whether the interpreter of the service itself will do: the patch level makes no difference to a package."""
    return wanted is None or _minor(wanted) == OWN_VERSION


async def find_interpreter(wanted: str | None, environment: Mapping[str, str]) -> Interpreter:
    """The Python for a version, of its exact patch level if there is one; raises SetupFailed."""
    if is_own(wanted):
        return Interpreter(Path(sys.executable), sys.version.split()[0])
    found = await _list_interpreters(environment)
    fitting = [known for known in found if wanted and _minor(known.version) == _minor(wanted)]
    if not fitting:
        names = ", ".join(sorted({known.version for known in found}, key=_order)) or "none"
        raise SetupFailed(
            f"cog.yaml wants Python {wanted}, which this machine does not have (found: {names}). "
            "Install it, or change `build.python_version`."
        )
    return max(fitting, key=lambda known: (known.version == wanted, _order(known.version)))


async def _list_interpreters(environment: Mapping[str, str]) -> list[Interpreter]:
    path = os.pathsep.join([environment.get("PATH", ""), *_pyenv_folders(environment)])
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *("python", "list", "--only-installed", "--no-python-downloads", "--output-format", "json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**environment, "PATH": path},
    )
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            listed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    entries = json.loads(listed or b"[]")
    return [
        Interpreter(Path(entry["path"]), entry["version"])
        for entry in entries
        if entry["implementation"] == "cpython" and entry.get("variant", "default") == "default" and entry["path"]
    ]


def _pyenv_folders(environment: Mapping[str, str]) -> list[str]:
    """pyenv keeps its Pythons off the PATH until they are chosen."""
    root = environment.get("PYENV_ROOT") or Path(environment.get("HOME", "~")).expanduser() / ".pyenv"
    return [str(folder) for folder in sorted(Path(root).glob("versions/3.*/bin"))]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _order(version: str) -> tuple[int, ...]:
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))
