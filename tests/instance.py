"""A whole Pinion for tests: the process tree of `./pinion up` on a free port, with a data folder of its own.

Nothing is faked here, and nothing of an installation on the same machine is touched.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
import redis

from tests.receiver import TERMINAL as TERMINAL
from tests.servers import fresh_postgres, fresh_redis

PROJECT = Path(__file__).resolve().parent.parent
PREDICTORS = PROJECT / "tests" / "predictors"
BACKENDS = ("embedded", "servers")

# What tells a role's process from the others, in its command line.
_ROLES = {
    "api": "-m api",
    "predict": "-m worker predict",
    "deliver": "-m worker deliver",
    "valkey": "valkey-server",
    "watchdog": "watchdog.py",
    "model": "pinion_runtime/main.py",
}
# The settings of whoever runs the tests, and of a .env beside the code, are not ours.
_NEUTRAL = dict.fromkeys(("PINION_HOST", "PINION_PORT", "PINION_API_TOKEN", "DATABASE_URL", "REDIS_URL"), "")
_GREETING = re.compile(r"Pinion is running at (\S+)\nAPI token: (\S+)\nTry it:\n(.+)\n")
_START_SECONDS = 120.0
_STOP_SECONDS = 15.0
_LOG_CHARACTERS = 3000

on_one_backend = pytest.mark.parametrize("instance", ["embedded"], indirect=True)
"""For what says nothing about the database and Redis."""
Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = 15.0) -> Found:
    """What `find` returns, once that is true; fails the test when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited in vain for {seconds:g} s, at last for {found!r}"
        time.sleep(0.02)
    return found


@dataclass
class Instance:
    """One Pinion; `settings` are those of its environment that are not the defaults."""

    folder: Path
    settings: Mapping[str, str]
    address: str = ""
    token: str = ""
    first_request: str = ""
    """The command line that `up` proposes."""
    models: dict[str, str] = field(default_factory=dict)
    _up: "subprocess.Popen[bytes] | None" = None
    _seen: set[psutil.Process] = field(default_factory=set)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def environment(self) -> dict[str, str]:
        """For commands and clients: with it `./pinion` finds this instance by its data folder."""
        foreign = re.compile("PINION_|REPLICATE_")
        kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        return {**kept, **_NEUTRAL, "PINION_HOME": str(self.home), **self.settings}

    @property
    def client_environment(self) -> dict[str, str]:
        """For programs that use Replicate's clients."""
        return {**self.environment, "REPLICATE_BASE_URL": self.address, "REPLICATE_API_TOKEN": self.token}

    def start(self) -> None:
        """Returns when `up` says that it runs; fails the test with everything it said when it does not."""
        output = self.folder / "up.log"
        with output.open("wb") as log:
            command = [PROJECT / "pinion", "up"]
            environment = {**self.environment, "PINION_PORT": "0"}
            self._up = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not (greeting := _GREETING.search(output.read_text())):
            if self._up.poll() is not None or time.monotonic() > deadline:
                said = output.read_text() + self.logs()
                self.kill()
                pytest.fail(f"pinion up did not start:\n{said}", pytrace=False)
            time.sleep(0.02)
        self.address, self.token, self.first_request = greeting.groups()

    def stop(self) -> None:
        """As a person would; by force where that does not help, and whatever was left behind in earlier ends."""
        if self.is_up:
            self.processes()
            self._popen.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_STOP_SECONDS)
        self.kill()
        for process in self._seen:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill(self) -> None:
        """Kill -9 of `pinion up` itself."""
        self._popen.kill()
        self._popen.wait()

    def ended(self, seconds: float) -> int:
        """The exit code of `pinion up`, once it has ended."""
        return self._popen.wait(seconds)

    def answers(self) -> bool:
        """Whether the API does."""
        return _answers(self.address)

    @property
    def is_up(self) -> bool:
        return self._up is not None and self._up.poll() is None

    @property
    def up(self) -> psutil.Process:
        return psutil.Process(self._popen.pid)

    @property
    def _popen(self) -> "subprocess.Popen[bytes]":
        assert self._up is not None, "not started"
        return self._up

    def processes(self, role: str | None = None) -> list[psutil.Process]:
        """Everything below `pinion up`, or those of one role: api, predict, deliver, valkey, watchdog, model."""
        children = self.up.children(recursive=True)
        self._seen.update(children)
        return [child for child in children if role is None or _ROLES[role] in _command(child)]

    def model_process(self, model: str) -> psutil.Process:
        """The process that runs a model given as owner/name:version."""
        version = model.rpartition(":")[2]
        return next(child for child in self.processes("model") if version in child.cwd())

    def logs(self) -> str:
        """The ends of all logs, for a person to look at when a test fails."""
        files = sorted((self.home / "logs").glob("*.log"))
        return "\n".join(f"── {file.name}\n{file.read_text(errors='replace')[-_LOG_CHARACTERS:]}" for file in files)

    def command(self, *arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run `./pinion …` to its end, as a person would on this machine."""
        given = {**self.environment, **environment}
        return subprocess.run([PROJECT / "pinion", *arguments], env=given, capture_output=True, text=True, timeout=60)

    def push(self, folder: Path, name: str) -> str:
        """Push a model; its owner/name:version."""
        pushed = self.command("push", folder, name)
        assert pushed.returncode == 0, pushed.stderr + self.logs()
        return pushed.stdout.splitlines()[0]

    def model(self, folder: Path | str) -> str:
        """owner/name:version of a predictor for tests, pushed when it is first asked for."""
        folder = PREDICTORS / folder
        if folder.name not in self.models:
            self.models[folder.name] = self.push(folder, f"pinion/{folder.name}")
        return self.models[folder.name]

    @contextmanager
    def another_api(self, **settings: str) -> Iterator[str]:
        """The address of a second API process beside the first, with settings of its own."""
        with api_process({**self.environment, **settings}) as address:
            yield address

    @contextmanager
    def another_worker(self) -> Iterator[psutil.Process]:
        """A second prediction worker beside the first."""
        program = [sys.executable, "-m", "worker", "predict"]
        given = {name: value for name, value in self.environment.items() if value}
        with subprocess.Popen(program, cwd=PROJECT, env=given, stdin=subprocess.DEVNULL) as process:
            try:
                yield psutil.Process(process.pid)
            finally:
                process.terminate()

    def redis(self) -> "redis.Redis[bytes]":
        """The Redis behind it, to look into and to break."""
        return redis.Redis.from_url(self.settings.get("REDIS_URL") or f"unix://{self.home / 'valkey.sock'}")


class Api(httpx.Client):
    """The API over plain HTTP, with the token, and with the few calls most tests need."""

    def __init__(self, instance: Instance) -> None:
        headers = {"Authorization": f"Bearer {instance.token}"}
        super().__init__(base_url=f"{instance.address}/v1", headers=headers, timeout=30)

    def create(self, model: str, /, wait: bool = False, more: Mapping[str, Any] | None = None, **input: Any) -> Any:
        """A prediction just accepted, or with `wait` an ended one; `more` are further keys of the body."""
        body = {"version": model, "input": input, **(more or {})}
        created = self.post("/predictions", json=body, headers={"Prefer": "wait"} if wait else {})
        assert created.status_code == 201, created.text
        return created.json()

    def prediction(self, prediction_id: str) -> Any:
        answer = self.get(f"/predictions/{prediction_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until_status(self, prediction_id: str, *statuses: str, seconds: float = 15.0) -> Any:
        """The prediction, once it has one of the statuses."""
        deadline = time.monotonic() + seconds
        while (found := self.prediction(prediction_id))["status"] not in statuses:
            assert time.monotonic() < deadline, f"not {statuses} within {seconds:g} s: {found}"
            time.sleep(0.02)
        return found


@contextmanager
def api_process(environment: Mapping[str, str]) -> Iterator[str]:
    """The address of an API process of its own; what is empty in its environment is left out."""
    port = _free_port()
    given = {name: value for name, value in {**environment, "PINION_PORT": str(port)}.items() if value}
    address = f"http://127.0.0.1:{port}"
    program = [sys.executable, "-m", "api"]
    with subprocess.Popen(program, cwd=PROJECT, env=given, stdin=subprocess.DEVNULL) as process:
        try:
            until(lambda: _answers(address), 60)
            yield address
        finally:
            process.terminate()


@contextmanager
def running(backend: str, isolation: str = "process") -> Iterator[Instance]:
    """A started instance: "embedded" brings SQLite and Valkey, "servers" uses Postgres and Redis."""
    with ExitStack() as stack:
        # With several accounts, as tests make them, models would be in sandboxes wherever bubblewrap is installed.
        # Those have tests of their own, as veils have.
        settings = {"PINION_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8", "PINION_ISOLATION": isolation}
        if backend == "servers":
            name = f"pinion_acceptance_{secrets.token_hex(4)}"
            settings["DATABASE_URL"] = stack.enter_context(fresh_postgres(name))
            settings["REDIS_URL"] = stack.enter_context(fresh_redis())
        # Right below /tmp, because the path of a Unix socket may not be long.
        folder = Path(tempfile.mkdtemp(prefix="pinion-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        instance = Instance(folder, settings)
        instance.start()
        stack.callback(instance.stop)
        yield instance


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # gone meanwhile
        return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False
