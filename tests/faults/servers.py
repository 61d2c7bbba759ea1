"""A Valkey and a Postgres of our own on ports of this host, to be killed, frozen and started again.

Nothing of servers that others use is touched.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import redis

from cli import process_tree, valkey
from tests.instance import until

_QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
_START_SECONDS = 30.0
PASSWORD = "pinion-canary-of-the-database"
"""It lets everybody in, so that this is in addresses only to be looked for where it must not be."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A process that others need; `folder` holds what it knows."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    def kill(self) -> None:
        """Kill -9, with all its children."""
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process:
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        for process in self._all():
            process.suspend()

    def thaw(self) -> None:
        for process in self._all():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    @property
    def is_up(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _all(self) -> list[psutil.Process]:
        if not self.process or self.process.poll() is not None:
            return []
        leader = psutil.Process(self.process.pid)
        return [leader, *leader.children(recursive=True)]


class Valkey(Server):
    """As `pinion up` runs it, but on a port as well."""

    def start(self) -> None:
        service = valkey.service(self.folder, self.folder / "valkey.sock", os.environ)
        command = [*service.command, "--port", str(self.port), "--bind", "127.0.0.1", "--enable-debug-command", "yes"]
        self.process = subprocess.Popen(
            command, env=service.environment, **_QUIET, preexec_fn=process_tree._bind_to_us()
        )
        until(self._answers, _START_SECONDS)

    def forget(self) -> None:
        """What it has written down is gone; call it while it is not up."""
        shutil.rmtree(self.folder / "valkey", ignore_errors=True)

    def client(self) -> "redis.Redis[bytes]":
        return redis.Redis(port=self.port, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Postgres(Server):
    """A cluster of its own; nothing is forced to the disk, which no fault here can lose."""

    def make(self) -> None:
        _done("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync")

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 120,
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        command = [_binary("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *words]
        with (self.folder / "log").open("ab") as log:
            quiet = {**_QUIET, "stdout": log, "stderr": log}
            bound = process_tree._bind_to_us()
            self.process = subprocess.Popen(command, **quiet, **_unprivileged(), cwd="/", preexec_fn=bound)
        until(self._answers, _START_SECONDS)

    def stop_at_once(self) -> None:
        """As `pg_ctl stop -m immediate` does: connections break, and it recovers when it is started."""
        assert self.process
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        self.process = None

    def dump(self) -> str:
        """A backup of all there is, made while others write."""
        return _done("pg_dump", "--clean", self.url())

    def restore(self, dump: str) -> None:
        """Put a backup in the place of all there is."""
        _done("psql", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", self.url(), given=dump)

    def url(self, port: int | None = None) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{port or self.port}/postgres"

    def _answers(self) -> bool:
        asked = ["-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run([_binary("pg_isready"), *asked], **_QUIET).returncode == 0


def has_postgres() -> bool:
    """Whether a cluster can be made here."""
    return bool(_folders()) and (os.getuid() != 0 or _user() is not None)


@contextmanager
def own_valkey() -> Iterator[Valkey]:
    folder = Path(tempfile.mkdtemp(prefix="pinion-valkey-", dir="/tmp"))
    server = Valkey(folder, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    folder = Path(tempfile.mkdtemp(prefix="pinion-postgres-", dir="/tmp"))
    if user := _unprivileged().get("user"):
        shutil.chown(folder, user)
    server = Postgres(folder, free_port())
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def _folders() -> list[Path]:
    return sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def _binary(name: str) -> str:
    return str(_folders()[-1] / name)


def _user() -> str | None:
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return None


def _done(program: str, *arguments: str, given: str = "") -> str:
    command = [_binary(program), *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd="/", **_unprivileged())
    assert done.returncode == 0, done.stderr
    return done.stdout


def _unprivileged() -> dict[str, Any]:
    """Postgres refuses to run as root."""
    if os.getuid() != 0:
        return {}
    user = _user()
    assert user
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
