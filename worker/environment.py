"""From cog.yaml to the Python that runs the model: a virtual environment of its own, built once by uv.

An environment is named by the hash of all it depends on and is shared by versions that want the same; how it is kept
stands in `shelf`. The model itself is not started here.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from signal import SIGKILL
from typing import cast

from uv import find_uv_bin

from shared.package_sources import uv_settings
from worker.events import SetupFailed
from worker.interpreters import Interpreter, find_interpreter, is_own
from worker.manifest import read_manifest
from worker.requirements import Requirements, read_requirements
from worker.shelf import Say, Shelf
from worker.surroundings import build_environment

_TAIL_LINES = 15
_LONGEST_LINE_BYTES = 1 << 20
# Cog brings the first four; the last two are in every image it makes, and later setuptools have no pkg_resources.
_COMPANIONS = ("pydantic", "pyyaml", "requests", "typing-extensions", "pip", "setuptools<81")
_COMPANIONS_SECONDS = 120.0
_MATTERS = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_TORCH_BACKEND")
"""Settings that decide which packages a requirement means."""


class Environments:
    """Those of this home, which hosts may share."""

    def __init__(self, home: Path, limit: timedelta | None) -> None:
        self._shelf = environment_shelf(home)
        self._limit = limit.total_seconds() if limit else None

    async def python_for(self, version_id: str | None, source: Path, say: Say) -> Path:
        """The interpreter for a model; builds its environment if there is none yet. Raises SetupFailed.

        What was once built for a version is kept for it, whatever has been set differently since.
        """
        try:
            return await self._python_for(version_id, source, say)
        except TimeoutError:
            limit = f"{self._limit:g} seconds (PINION_BUILD_SECONDS)"
            raise SetupFailed(f"The model's environment was not built within {limit}.") from None
        except OSError as error:
            where = error.filename or self._shelf.folder
            raise SetupFailed(f"The model's environment could not be built: {error.strerror} ({where}).") from error

    async def _python_for(self, version_id: str | None, source: Path, say: Say) -> Path:
        if version_id and (known := await self._shelf.noted(version_id, say)):
            return known / "bin" / "python"
        build = (await asyncio.to_thread(read_manifest, source)).build
        wanted = await asyncio.to_thread(read_requirements, build, source)
        for remark in wanted.remarks:
            say(f"{remark}\n")
        if is_own(build.python_version) and not wanted.lines:
            return Path(sys.executable)
        variables = await asyncio.to_thread(lambda: self._variables)
        interpreter = await find_interpreter(build.python_version, variables)

        async def make(folder: Path) -> None:
            await _build(folder, interpreter, wanted, source, variables, say)

        name = _key(interpreter, wanted, source, variables)
        async with asyncio.timeout(self._limit):
            return await self._shelf.obtain(name, make, say, version_id) / "bin" / "python"

    @cached_property
    def _variables(self) -> dict[str, str]:
        # pip regards all indexes as one, and requirements are written for pip.
        usual = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1"}
        return {**usual, **build_environment(uv_settings(sys.executable))}


def environment_shelf(home: Path) -> Shelf:
    """Where they lie. One is not whole without its interpreter, which is a link to one that may have been removed."""
    return Shelf(home / "environments", "environment", lambda folder: (folder / "bin" / "python").exists())


def _key(interpreter: Interpreter, wanted: Requirements, source: Path, variables: Mapping[str, str]) -> str:
    """Names an environment by everything it depends on."""
    inputs = {
        "python": [interpreter.version, str(interpreter.path)],
        "requirements": [*wanted.lines, *_COMPANIONS],
        "folder": str(source) if wanted.names_files else "",
        "settings": {name: variables[name] for name in _MATTERS if name in variables},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


async def _build(
    folder: Path, interpreter: Interpreter, wanted: Requirements, source: Path, variables: Mapping[str, str], say: Say
) -> None:
    """From nothing, or from one cut short, to all that is wanted."""
    say(f"Making an environment for Python {interpreter.version} …\n")
    python = folder / "bin" / "python"
    make = ["venv", "--quiet", "--clear", "--python", str(interpreter.path), str(folder)]
    await _run(make, source, variables, "", say)
    if wanted.lines:
        install = ["pip", "install", "--python", str(python), "--requirements", "-"]
        await _run(install, source, variables, wanted.text, say)
    await _add_companions(python, wanted, source, variables, say)


async def _add_companions(
    python: Path, wanted: Requirements, source: Path, variables: Mapping[str, str], say: Say
) -> None:
    """Models use what an image of Cog has without listing it. Whether it can be had decides nothing."""
    install = ["pip", "install", "--python", str(python), "--requirements", "-"]
    given = "".join(f"{line}\n" for line in (*wanted.sources, *_COMPANIONS))
    try:
        async with asyncio.timeout(_COMPANIONS_SECONDS):
            await _run(install, source, variables, given, lambda text: None)
    except (SetupFailed, TimeoutError):
        say(f"Not all of {', '.join(_COMPANIONS)} can be had here, which an image of Cog has: list what is used.\n")


async def _run(arguments: list[str], source: Path, variables: Mapping[str, str], given: str, say: Say) -> None:
    """uv in the model's folder, whose relative places are meant; raises SetupFailed with the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *(*arguments, "--no-config", "--no-python-downloads"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=_LONGEST_LINE_BYTES,
        cwd=source,
        env=variables,
        start_new_session=True,  # what a package starts while it is built can be ended with it
    )
    try:
        said = await _converse(process, given, say)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, SIGKILL)
            await process.wait()
    if process.returncode:
        raise SetupFailed(f"The model's environment could not be built: {_gist(said)}")


async def _converse(process: asyncio.subprocess.Process, given: str, say: Say) -> list[str]:
    """Hands over the input, passes on what is said, and returns the end of it once the process is over."""
    questions, answers = cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout)
    with suppress(BrokenPipeError, ConnectionResetError):
        questions.write(given.encode())
        await questions.drain()
    questions.close()
    said: list[str] = []
    async for line in answers:
        text = line.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        say(text)
        said = [*said, text][-_TAIL_LINES:]
    await process.wait()
    return said


def _gist(said: list[str]) -> str:
    """The sentence behind uv's sign for a reason, which may go over several lines."""
    text = " ".join("".join(said).split())
    for sign in ("╰─▶", "error:"):
        if sign in text:
            return text.rpartition(sign)[2].strip()
    return text or "uv said nothing"
