"""A Pinion of two APIs, two workers and a sender, each with lines of its own to Redis and Postgres.

Nobody starts again here what a test has ended: that is what `heal` is for.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest

from cli import process_tree
from shared import crash
from tests.faults.line import Exchange, Line, exchange
from tests.faults.servers import Postgres, Valkey, free_port, has_postgres, own_postgres, own_valkey
from tests.instance import PREDICTORS, PROJECT, until

LEASE_SECONDS = 4.0
"""Shorter than usual, so that a test waits for less; the bounds are told in leases."""
DRAIN_SECONDS = 3.0
TOKEN = "r8_" + "f" * 37
MODEL = "pinion/acts"
_START_SECONDS = 120.0
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

    def start(self) -> None:
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
        status = Path(f"/proc/{self.handle.pid}/status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def handle(self) -> psutil.Process:
        assert self.process, f"{self.name} was never started"
        return psutil.Process(self.process.pid)

    def models(self) -> list[psutil.Process]:
        """Its model processes."""
        return [child for child in self.handle.children(recursive=True) if _MODEL in " ".join(child.cmdline())]

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

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill -9; what it has started ends by itself, or is a finding."""
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


@dataclass
class Stack:
    """All of it. `postgres` is None where it runs on SQLite."""

    folder: Path
    lines: Exchange
    valkey: Valkey
    postgres: Postgres | None
    database_url: str = ""
    code: Path = PROJECT
    """Of commands, and of services when they are made."""
    services: dict[str, Service] = field(default_factory=dict)
    version: str = ""

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def apis(self) -> list[Service]:
        return [self.services["api-1"], self.services["api-2"]]

    @property
    def workers(self) -> list[Service]:
        return [self.services["predict-1"], self.services["predict-2"]]

    @property
    def sender(self) -> Service:
        return self.services["deliver"]

    def make(self) -> None:
        for name in ("api-1", "api-2"):
            self._add(name, ("api",), free_port())
        for name in ("predict-1", "predict-2"):
            self._add(name, ("worker", "predict"))
        self._add("deliver", ("worker", "deliver"))
        (self.folder / "logs").mkdir()
        self.command("migrate")
        self.heal()
        self.version = self.push(PREDICTORS / "acts_as_told")

    def push(self, folder: Path) -> str:
        """The id of the version that this folder is."""
        return self.command("push", str(folder), MODEL, "--public").stdout.splitlines()[0].rpartition(":")[2]

    def _add(self, name: str, arguments: tuple[str, ...], port: int = 0) -> None:
        redis = self.lines.line(self.valkey.port)
        database = self.lines.line(self.postgres.port) if self.postgres else None
        environment = {**self.environment, "REDIS_URL": f"redis://127.0.0.1:{redis.port}"}
        if self.postgres and database:
            environment["DATABASE_URL"] = self.postgres.url(database.port)
        if port:
            environment["PINION_PORT"] = str(port)
        environment["PINION_CRASH_FILE"] = str(self.folder / f"{name}.crash")
        log = self.folder / "logs" / f"{name}.log"
        self.services[name] = Service(name, arguments, environment, log, redis, database, port, code=self.code)

    @property
    def environment(self) -> dict[str, str]:
        """Straight to the servers, for commands and for looking."""
        foreign = re.compile("PINION_|REPLICATE_|DATABASE_URL$|REDIS_URL$")
        kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        ours = {
            "HOME": str(self.home),
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "HEARTBEAT_SECONDS": "0.5",
            "DRAIN_SECONDS": str(DRAIN_SECONDS),
            "API_TOKEN": TOKEN,
            "ISOLATION": "process",
            "WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8",
            "FILE_ALLOW_CIDRS": "127.0.0.0/8",
        }
        servers = {"DATABASE_URL": self.database_url, "REDIS_URL": f"redis://127.0.0.1:{self.valkey.port}"}
        return {**kept, **servers, **{f"PINION_{name}": value for name, value in ours.items()}}

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`pinion …`, to its end."""
        given = {**self.environment, "PINION_PORT": str(self.apis[0].port)}
        command = [sys.executable, "-m", "cli", *arguments]
        done = subprocess.run(command, cwd=self.code, env=given, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done

    def heal(self) -> None:
        """Everything runs again and reaches everything: what was ended is started, what was held goes on."""
        self.valkey.thaw()
        if not self.valkey.is_up:
            self.valkey.start()
        if self.postgres:
            self.postgres.thaw()
            if not self.postgres.is_up:
                self.postgres.start()
        for service in self.services.values():
            service.crash_file.unlink(missing_ok=True)
            for line in service.lines():
                line.heal()
            if not service.is_up:
                service.start()
            else:
                service.signal(signal.SIGCONT)
        for api in self.apis:
            until(partial(answers, api.address, "/readyz"), _START_SECONDS)
        for service in self.services.values():
            until(partial(getattr, service, "is_ready"), _START_SECONDS)

    def stop(self) -> None:
        for service in self.services.values():
            if service.is_up:
                service.signal(signal.SIGCONT)
                service.signal(signal.SIGKILL)
        for service in self.services.values():
            service.kill()

    def logs(self) -> str:
        """The ends of all logs, for a person to look at when a test fails."""
        return "\n".join(f"── {service.name}\n{service.said()}" for service in self.services.values())


def answers(address: str, path: str, seconds: float = 5.0) -> bool:
    """Whether an API answers there with 200."""
    try:
        return httpx.get(f"{address}{path}", timeout=seconds).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(
    *,
    is_embedded: bool = False,
    code: Path = PROJECT,
    disk: Callable[[Path], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Stack]:
    """On a Postgres of our own, where one can be made, else or if `is_embedded` on SQLite; always on a Valkey.

    Its home is on `disk`.
    """
    with ExitStack() as stack:
        lines = stack.enter_context(exchange())
        valkey = stack.enter_context(own_valkey())
        postgres = None if is_embedded or not has_postgres() else stack.enter_context(own_postgres())
        folder = Path(tempfile.mkdtemp(prefix="pinion-faults-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        url = postgres.url() if postgres else f"sqlite:///{folder / 'home' / 'pinion.db'}"
        pinion = Stack(folder, lines, valkey, postgres, url, code)
        pinion.home.mkdir()
        stack.enter_context(disk(pinion.home))
        stack.callback(pinion.stop)
        pinion.make()
        yield pinion
