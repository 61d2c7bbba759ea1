"""What a build tells about wishes in cog.yaml that only an image could fulfil: the model may well run without.

Nothing is installed or run here.
"""

import asyncio
import shlex
import shutil
from pathlib import Path

from worker.manifest import Build

_ASK_SECONDS = 30.0
_INSTALLED = "ii "


async def remarks_on(build: Build) -> list[str]:
    """Lines for the build's log."""
    return [*await _on_system_packages(build.system_packages), *_on_commands(build), *_on_gpu(build)]


async def _on_system_packages(wanted: list[str]) -> list[str]:
    if not wanted:
        return []
    if shutil.which("dpkg-query") is None:
        return [f"Whether {', '.join(wanted)} (system_packages) are installed cannot be told on this machine."]
    missing = [name for name in wanted if name.partition("=")[0] not in await _installed(wanted)]
    if not missing:
        return []
    return [f"Missing on this machine (system_packages); to install: sudo apt-get install {shlex.join(missing)}"]


async def _installed(wanted: list[str]) -> set[str]:
    names = [name.partition("=")[0] for name in wanted]
    process = await asyncio.create_subprocess_exec(
        *("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}${Package}\n", "--", *names),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with asyncio.timeout(_ASK_SECONDS):
        listed, _ = await process.communicate()
    return {line.removeprefix(_INSTALLED) for line in listed.decode().splitlines() if line.startswith(_INSTALLED)}


def _on_commands(build: Build) -> list[str]:
    commands = [*build.pre_install, *(step.command for step in build.run)]
    return [f"Not run, since no image is built (run, pre_install): {command}" for command in commands]


def _on_gpu(build: Build) -> list[str]:
    wants = build.gpu or build.cuda or build.cudnn
    if wants and not any(Path("/dev").glob("nvidia[0-9]*")) and not Path("/dev/kfd").exists():
        return ["The model asks for a GPU and this machine has none: it will run on the processor, if it can."]
    return []
