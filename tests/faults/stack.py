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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import httpx
import psutil

from tests.faults.holdings import Holdings
from tests.faults.line import Exchange, exchange
from tests.faults.servers import Postgres, Valkey, free_port, has_postgres, own_postgres, own_valkey
from tests.faults.service import Service
from tests.instance import PREDICTORS, PROJECT, until

LEASE_SECONDS = 4.0
"""Shorter than usual, so that a test waits for less; the bounds are told in leases."""
DRAIN_SECONDS = 3.0
TOKEN = "r8_" + "f" * 37
SECRET_INPUT = "pinion-canary-of-an-input"
MODEL = "pinion/acts"
_START_SECONDS = 120.0


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
    holdings: Holdings = field(default_factory=Holdings)

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
            until(partial(_is_ready, service), _START_SECONDS)

    @cached_property
    def stranger(self) -> str:
        """The token of an account to which nothing belongs."""
        self.command("account", "create", "stranger")
        return self.command("token", "create", "stranger").stdout.strip()

    def processes(self) -> list[psutil.Process]:
        """Of all services that are up, with whatever they have started."""
        leaders = [service.handle for service in self.services.values() if service.is_up]
        return [process for leader in leaders for process in (leader, *leader.children(recursive=True))]

    def stop(self) -> None:
        """I23: nothing that was started is left."""
        started = self.processes()
        for service in self.services.values():
            if service.is_up:
                service.signal(signal.SIGCONT)
                service.signal(signal.SIGKILL)
        for service in self.services.values():
            service.kill()
        assert_gone(started)

    def logs(self) -> str:
        """The ends of all logs, for a person to look at when a test fails."""
        return "\n".join(f"── {service.name}\n{service.said()}" for service in self.services.values())


def _is_ready(service: Service) -> bool:
    """One that was about to end when it was looked at before is started now."""
    if not service.is_up:
        service.start()
    return service.is_ready


def assert_gone(processes: list[psutil.Process], seconds: float = 5.0) -> None:
    """I23: whatever a service had started is gone with it."""
    _, left = psutil.wait_procs(processes, seconds)
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


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
        stack.callback(shutil.rmtree, folder)  # I23: fails if somebody is left who writes there
        url = postgres.url() if postgres else f"sqlite:///{folder / 'home' / 'pinion.db'}"
        pinion = Stack(folder, lines, valkey, postgres, url, code)
        pinion.home.mkdir()
        stack.enter_context(disk(pinion.home))
        stack.callback(pinion.stop)
        pinion.make()
        yield pinion
