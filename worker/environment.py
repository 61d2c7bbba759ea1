"""From cog.yaml to the Python that runs the model: a virtual environment of its own, built once by uv.

An environment is named by the hash of all it depends on and is shared by versions that want the same. It is used only
once its stamp is written, so one that was cut short never is. The model itself is not started here.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from signal import SIGKILL
from typing import cast

from uv import find_uv_bin

from shared.package_sources import uv_settings
from worker.events import SetupFailed
from worker.interpreters import Interpreter, find_interpreter, is_own
from worker.manifest import Build, read_manifest
from worker.requirements import Requirements, read_requirements
from worker.surroundings import build_environment

Say = Callable[[str], None]
"""Takes text for the build's log, as it comes."""

_STAMP = "pinion-complete"
_LOOK_AGAIN_SECONDS = 0.2
_TAIL_LINES = 15
_LONGEST_LINE_BYTES = 1 << 20
# Cog brings the first four; the last two are in every image it makes, and later setuptools have no pkg_resources.
_COMPANIONS = ("pydantic", "pyyaml", "requests", "typing-extensions", "pip", "setuptools<81")
_COMPANIONS_SECONDS = 120.0
_MATTERS = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_TORCH_BACKEND")
"""Settings that decide which packages a requirement means."""


class Environments:
    """Those of this home, which hosts may share."""

    def __init__(self, home: Path, limit: timedelta) -> None:
        self._folder = home / "environments"
        self._limit = limit

    async def python_for(self, version_id: str, source: Path, say: Say) -> Path:
        """The interpreter for a version; builds its environment if there is none yet. Raises SetupFailed.

        What was once built for a version is kept for it, whatever has been set differently since.
        """
        note = self._folder / "versions" / version_id
        if (python := note / "bin" / "python").exists():
            return python.parent.resolve() / "python"
        build = (await asyncio.to_thread(read_manifest, source)).build
        wanted = await asyncio.to_thread(read_requirements, build, source)
        for remark in wanted.remarks:
            say(f"{remark}\n")
        if is_own(build.python_version) and not wanted.lines:
            return Path(sys.executable)
        environment = await self._obtain(build, wanted, source, say)
        await asyncio.to_thread(_point, note, environment)
        return environment / "bin" / "python"

    async def _obtain(self, build: Build, wanted: Requirements, source: Path, say: Say) -> Path:
        """The complete environment; of two builds that want it at once one makes it and the other waits."""
        variables = await asyncio.to_thread(lambda: self._variables)
        interpreter = await find_interpreter(build.python_version, variables)
        folder = self._folder / _key(interpreter, wanted, source, variables)
        try:
            async with asyncio.timeout(self._limit.total_seconds()), _locked(folder.with_suffix(".lock"), say):
                if not _is_complete(folder):
                    await _build(folder, interpreter, wanted, source, variables, say)
                else:
                    say(f"Using the environment {folder.name[:12]}, which is there already.\n")
        except TimeoutError:
            limit = f"{self._limit.total_seconds():g} seconds (PINION_BUILD_SECONDS)"
            raise SetupFailed(f"The model's environment was not built within {limit}.") from None
        except OSError as error:
            where = error.filename or self._folder
            raise SetupFailed(f"The model's environment could not be built: {error.strerror} ({where}).") from error
        return folder

    @cached_property
    def _variables(self) -> dict[str, str]:
        # pip regards all indexes as one, and requirements are written for pip.
        usual = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1"}
        return {**usual, **build_environment(uv_settings(sys.executable))}


def _key(interpreter: Interpreter, wanted: Requirements, source: Path, variables: Mapping[str, str]) -> str:
    """Names an environment by everything it depends on."""
    inputs = {
        "python": [interpreter.version, str(interpreter.path)],
        "requirements": [*wanted.lines, *_COMPANIONS],
        "folder": str(source) if wanted.names_files else "",
        "settings": {name: variables[name] for name in _MATTERS if name in variables},
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _is_complete(folder: Path) -> bool:
    """Not without its interpreter, which is a link to one that may have been removed."""
    return (folder / _STAMP).exists() and (folder / "bin" / "python").exists()


def _point(note: Path, environment: Path) -> None:
    """Remember which environment a version has; written aside and renamed, as a half-written one would be none."""
    note.parent.mkdir(parents=True, exist_ok=True)
    draft = note.with_name(f".{note.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(environment, note.parent))
    draft.replace(note)


@asynccontextmanager
async def _locked(file: Path, say: Say) -> AsyncIterator[None]:
    """Alone with an environment, among all builds of all processes and hosts."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _try_lock(descriptor):
            say("Waiting for another build of the same environment …\n")
            while not _try_lock(descriptor):  # noqa: ASYNC110 - another process rings no bell
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _build(
    folder: Path, interpreter: Interpreter, wanted: Requirements, source: Path, variables: Mapping[str, str], say: Say
) -> None:
    """From nothing, or from one cut short, to a complete environment; one that fails leaves nothing."""
    say(f"Making an environment for Python {interpreter.version} …\n")
    python = folder / "bin" / "python"
    try:
        make = ["venv", "--quiet", "--clear", "--python", str(interpreter.path), str(folder)]
        await _run(make, source, variables, "", say)
        if wanted.lines:
            install = ["pip", "install", "--python", str(python), "--requirements", "-"]
            await _run(install, source, variables, wanted.text, say)
        await _add_companions(python, wanted, source, variables, say)
        (folder / _STAMP).touch()
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        raise


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
