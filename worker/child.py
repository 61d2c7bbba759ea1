"""The operating system's side of a model process: its pipes, its group, its death.

What is said through the pipes is not known here.
"""

import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from worker.cell import Cell
from worker.events import SetupFailed
from worker.surroundings import RUNTIME

_PROGRAM = RUNTIME / "pinion_runtime" / "main.py"
# More than a pipe holds (64 KiB; 1 MiB where pages are large), so one read empties it as it is at that moment.
_READ_BYTES = 1 << 20
_SIGNALED = 128
"""Bubblewrap, like a shell, ends with this and the number of the signal that ended its program."""


@dataclass(frozen=True, slots=True)
class Child:
    process: asyncio.subprocess.Process
    control: asyncio.WriteTransport
    frames: int
    logs: int
    cell: Cell

    @property
    def is_running(self) -> bool:
        return self.process.returncode is None

    def send(self, line: bytes) -> None:
        if not self.control.is_closing():
            self.control.write(line)

    def read(self, descriptor: int) -> bytes:
        """Empty when there is nothing, now or for ever."""
        with contextlib.suppress(BlockingIOError):
            received = os.read(descriptor, _READ_BYTES)
            if not received:
                asyncio.get_running_loop().remove_reader(descriptor)
            return received
        return b""

    async def wait(self) -> int:
        """The exit code, or the signal as a negative number."""
        code = await self.process.wait()
        return _SIGNALED - code if self.cell.is_enclosed and code > _SIGNALED else code

    def kill(self) -> None:
        """The process, and with it all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        if self.is_running:  # it may not yet have made its group
            with contextlib.suppress(ProcessLookupError):
                # Not process.kill(), which may reap it, and nobody would hear how it died.
                os.kill(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.control.close()
        for descriptor in (self.frames, self.logs):
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


async def spawn(cell: Cell, python: Path, source: Path, environment: dict[str, str]) -> Child:
    """In the model's folder; raises SetupFailed."""
    # Of a pipe uvloop would close its end twice, and by the second time the number may be that of another file.
    control, frames, logs = socket.socketpair(), os.pipe(), os.pipe()
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        for descriptor in (frames[0], logs[0]):
            os.set_blocking(descriptor, False)
            ours.callback(os.close, descriptor)
        for descriptor in (frames[1], logs[1]):
            theirs.callback(os.close, descriptor)
        theirs.callback(control[0].close)
        loop = asyncio.get_running_loop()
        writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, control[1])
        ours.callback(writer.close)
        process = await _start(cell, python, source, environment, (control[0].fileno(), frames[1], logs[1]))
        ours.pop_all()
        return Child(process, writer, frames[0], logs[0], cell)


async def _start(
    cell: Cell, python: Path, source: Path, environment: dict[str, str], theirs: tuple[int, int, int]
) -> asyncio.subprocess.Process:
    control, frames, logs = theirs
    program = [str(python), "-I", "-X", "utf8", str(_PROGRAM), str(control), str(frames)]
    command = await asyncio.to_thread(cell.command, program)
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=logs,
            stderr=logs,
            pass_fds=(control, frames),
            cwd=source,
            env=environment,
            # Bubblewrap makes no group. That it is in a session of its own harms nobody: it dies with us.
            start_new_session=cell.is_enclosed,
        )
    except OSError as error:
        raise SetupFailed(f"{python} could not be started: {error.strerror}.") from error


def describe_death(code: int) -> str:
    """The exit code or the signal, in words."""
    if code >= 0:
        return f"The model process exited with code {code}"
    names = {known.value: f" ({known.name})" for known in signal.Signals}
    guess = ", probably because the machine ran out of memory" if -code == signal.SIGKILL else ""
    return f"The model process was killed by signal {-code}{names.get(-code, '')}{guess}"
