"""The process tree: starts child processes, starts a died one again, and ends them all.

Which services there are, and when one is ready, is decided in `up`.

A child must not outlive us, whatever happens to us: on Linux the kernel sends it SIGTERM when we die; everywhere
the watchdog notices that we are gone, asks it to stop, and kills it when it does not.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cli import logs, watchdog
from cli.failure import Failure
from cli.home import PROJECT

# A worker needs seven seconds, six of them to let running predictions finish; all has to be gone within ten.
_GRACE_SECONDS = 8.3
_FOUNDATION_GRACE_SECONDS = 1.2
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Service:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    is_foundation: bool = False
    """The others need it until they have stopped, so it goes last."""


class ProcessTree:
    """Every child of one `up`; leaving the context ends them all. Enter it on the main thread."""

    def __init__(self, log_folder: Path, lock: int, say: Callable[[str], None], *, is_verbose: bool = False) -> None:
        self._log_folder = log_folder
        self._guard = _Guard(lock)
        self._say = say
        self._is_verbose = is_verbose
        self._running: dict[str, tuple[Service, Process]] = {}
        self._log_starts: dict[str, int] = {}
        self._keepers: dict[str, asyncio.Task[object]] = {}
        self._died: set[str] = set()
        self._hurry = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._guard.start(())
        return self

    async def __aexit__(self, *_: object) -> None:
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        for is_foundation, grace in ((False, _GRACE_SECONDS), (True, _FOUNDATION_GRACE_SECONDS)):
            left = [
                (service, child) for service, child in self._running.values() if service.is_foundation == is_foundation
            ]
            await asyncio.gather(*(self._end(service, child, grace) for service, child in left))
        self._guard.stop()

    def hurry(self) -> None:
        """Grant no more grace: somebody pressed Ctrl-C a second time."""
        self._hurry.set()

    def keep(self, service: Service) -> None:
        """Start a service, and start it again whenever it ends."""
        logs.rotate(self.log(service))
        if self._is_verbose:  # first, to miss nothing
            self._keepers[f"{service.name} log"] = asyncio.create_task(logs.follow(self.log(service), self._say))
        self._keepers[service.name] = asyncio.create_task(self._keep(service))

    async def run(self, service: Service) -> None:
        """Run a command to its end; its last line tells why it failed."""
        if await self._run(service) != 0:
            raise Failure(self._last_words(service) or f"{service.name} failed; see {self.log(service)}")

    def start(self, service: Service) -> None:
        """Run a command beside everything else; how it ends matters to nobody."""
        self._keepers[service.name] = asyncio.create_task(self._run(service))

    async def until_ready(self, service: Service, is_ready: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait for a service; dying meanwhile is an answer too."""
        deadline = time.monotonic() + seconds
        while not await is_ready():
            self._raise_if_dead(service)
            if time.monotonic() > deadline:
                words = self._last_words(service)
                raise Failure(
                    f"The service {service.name} is not ready after {seconds:.0f} s: {words} (log: {self.log(service)})"
                )
            await asyncio.sleep(_LOOK_SECONDS)

    async def watch(self) -> None:
        """Wait for ever, unless the keeping itself breaks: then raise what broke it."""
        await asyncio.gather(*self._keepers.values())

    def log(self, service: Service) -> Path:
        return self._log_folder / f"{service.name}.log"

    async def _keep(self, service: Service) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            started = time.monotonic()
            code = await self._run(service)
            self._died.add(service.name)
            if time.monotonic() - started > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            reason = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._say(f"{service.name} ended ({reason}); starting it again in {pause:g} s. Log: {self.log(service)}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run(self, service: Service) -> int:
        child = await self._spawn(service)
        code = await child.wait()
        self._forget(service, child)
        return code

    async def _spawn(self, service: Service) -> Process:
        log = self.log(service)
        self._log_starts[service.name] = logs.size(log)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            child = await asyncio.create_subprocess_exec(
                *service.command,
                stdin=DEVNULL,
                stdout=descriptor,
                stderr=STDOUT,
                cwd=PROJECT,
                env=service.environment,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone; a group is what we can kill whole
                preexec_fn=_bind_to_us(),
            )
        finally:
            os.close(descriptor)
        self._running[service.name] = service, child
        self._guard.note_start(child.pid, self._pids())
        return child

    def _forget(self, service: Service, child: Process) -> None:
        """The leader is gone; what it left in its group has no purpose any more."""
        watchdog.kill(child.pid)
        self._running.pop(service.name, None)
        self._guard.note_end(child.pid)

    async def _end(self, service: Service, child: Process, grace: float) -> None:
        with suppress(ProcessLookupError):
            child.terminate()
        waits = {asyncio.create_task(child.wait()), asyncio.create_task(self._hurry.wait())}
        _, pending = await asyncio.wait(waits, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        self._forget(service, child)
        await child.wait()

    def _raise_if_dead(self, service: Service) -> None:
        keeper = self._keepers[service.name]
        if keeper.done():
            keeper.result()
        if service.name in self._died:
            raise Failure(
                f"The service {service.name} does not start: {self._last_words(service)} (log: {self.log(service)})"
            )

    def _last_words(self, service: Service) -> str:
        line = logs.last_line(self.log(service), self._log_starts.get(service.name, 0))
        return line.removeprefix("pinion: ")  # said by a command of ours

    def _pids(self) -> list[int]:
        return [child.pid for _, child in self._running.values()]


class _Guard:
    """Our end of the watchdog: a pipe that tells it who lives, and by its closing that we do not."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1

    def start(self, pids: Iterable[int]) -> None:
        reading, self._pipe = os.pipe()
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(reading)]
        # It holds the data folder's lock as well: a next `up` waits until everything of this one is gone.
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            command,
            pass_fds=(reading, self._lock),
            start_new_session=True,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        os.close(reading)
        for pid in pids:
            os.write(self._pipe, f"+{pid}\n".encode())

    def note_start(self, pid: int, all_pids: Iterable[int]) -> None:
        try:
            os.write(self._pipe, f"+{pid}\n".encode())
        except BrokenPipeError:  # somebody killed the watchdog
            self.stop()
            self.start(all_pids)

    def note_end(self, pid: int) -> None:
        with suppress(BrokenPipeError):
            os.write(self._pipe, f"-{pid}\n".encode())

    def stop(self) -> None:
        os.close(self._pipe)
        if self._process:
            self._process.wait()


def _bind_to_us() -> Callable[[], None] | None:
    """What a child does before it becomes the service: on Linux, ask to be ended when the thread that made it ends."""
    if sys.platform != "linux":
        return None
    # Loaded before the fork: between fork and exec only simple things are safe.
    prctl = ctypes.CDLL(None).prctl
    us = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != us:  # we died before the request was made
            os._exit(1)

    return bind
