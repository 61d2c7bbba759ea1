"""One process of Pinion, to be killed, frozen, and told of where to die; and the lines by which it reaches its servers.

Which services there are stands in `stack`.
"""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic

import psutil
import pytest

from cli import process_tree
from shared import crash
from tests.faults.line import Line
from tests.instance import PROJECT

_LOG_CHARACTERS = 4000
_MODEL = "pinion_runtime/main.py"


@dataclass
class Service:
    """One process of Pinion, and the lines by which it reaches its servers."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    redis: Line
    database: Line | None
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None
    wrapper: tuple[str, ...] = ()
    code: Path = PROJECT
    undisturbed_since: float = inf
    """When it was last started or thawed; inf while something is done to it, after which it need not answer."""
    _is_frozen: bool = False

    def start(self) -> None:
        self.undisturbed_since, self._is_frozen = monotonic(), False
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, sys.executable, "-m", *self.arguments],
                cwd=self.code,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=process_tree._bind_to_us(),
            )

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether it is through with its start: then it listens to SIGTERM."""
        return self._has_signal("SigCgt", signal.SIGTERM)

    def has_taken(self, number: signal.Signals) -> bool:
        """Whether it has heard a signal that it was sent: the same one sent again would count as one otherwise."""
        return not self.is_up or not self._has_signal("ShdPnd", number)

    def _has_signal(self, mask: str, number: signal.Signals) -> bool:
        status = Path(f"/proc/{self.handle.pid}/status").read_text()
        signals = int(next(line for line in status.splitlines() if line.startswith(mask)).split()[1], 16)
        return bool(signals >> (number - 1) & 1)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def handle(self) -> psutil.Process:
        assert self.process, f"{self.name} was never started"
        return psutil.Process(self.process.pid)

    def models(self) -> list[psutil.Process]:
        """Its model processes."""
        return [child for child in self.handle.children(recursive=True) if _MODEL in command_of(child)]

    def die_at(self, point: str, times: int = 1) -> None:
        """Kill -9 itself when it is there for the nth time from now."""
        assert point in crash.POINTS
        self.crash_file.write_text(f"{point}:{times}")

    @property
    def crash_file(self) -> Path:
        return Path(self.environment["PINION_CRASH_FILE"])

    @contextmanager
    def told(self, **environment: str) -> Iterator[None]:
        """When it is started inside, it has that in its environment as well."""
        usual = self.environment
        self.environment = {**usual, **environment}
        try:
            yield
        finally:
            self.environment = usual

    @contextmanager
    def skewed(self, skew: str) -> Iterator[None]:
        """When it is started inside, its clock is wrong by that."""
        library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
        if library is None:
            pytest.skip("no libfaketime here: install it with the system's package manager")
        with self.told(LD_PRELOAD=str(library), FAKETIME=skew, FAKETIME_DONT_FAKE_MONOTONIC="1"):
            yield

    @contextmanager
    def disturbed(self) -> Iterator[None]:
        """Inside, something is done to it."""
        self.undisturbed_since = inf
        yield
        self.undisturbed_since = monotonic()

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        if number != signal.SIGCONT:
            self.undisturbed_since = inf
        elif self._is_frozen:
            self.undisturbed_since = monotonic()
        self._is_frozen = number == signal.SIGSTOP
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9; what it has started ends by itself, or is a finding."""
        self.undisturbed_since = inf
        if self.process:
            self.process.kill()
            self.process.wait()

    def ended(self, seconds: float) -> int:
        """Its exit code, once it has ended by itself."""
        assert self.process
        return self.process.wait(seconds)

    def lines(self) -> list[Line]:
        return [line for line in (self.redis, self.database) if line]

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_CHARACTERS:] if self.log.exists() else ""


def command_of(process: psutil.Process) -> str:
    """As everybody on the machine sees it; nothing if the process has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
