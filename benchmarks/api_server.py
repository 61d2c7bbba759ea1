"""What `benchmarks.api` measures: one API process on a core of its own, beside the bare one, without any worker.

On DATABASE_URL and REDIS_URL, or on SQLite and a private Valkey in a folder that is thrown away.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from cli import valkey
from shared.settings import Settings

PROJECT = Path(__file__).parents[1]
OURS = "benchmark"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Place:
    """Where everything is kept."""

    settings: Settings
    environment: dict[str, str]

    @contextmanager
    def api(self) -> Iterator[tuple[psutil.Process, int]]:
        """Ours, and its port."""
        port = free_port()
        with _running(["api"], {**self.environment, "PINION_PORT": str(port)}, port) as process:
            yield process, port

    @contextmanager
    def bare(self) -> Iterator[int]:
        """The port of the baseline."""
        port = free_port()
        with _running(["benchmarks.bare", str(port)], self.environment, port):
            yield port


@contextmanager
def place() -> Iterator[Place]:
    """With all tables and nothing in them."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pb-", dir="/tmp")))
        environment = {**os.environ, "PINION_HOME": str(home)}
        settings = Settings(home=home)
        url = settings.redis_url
        stack.enter_context(_empty_redis(url) if os.environ.get("REDIS_URL") else _valkey(home, environment, url))
        subprocess.run([sys.executable, "-m", "cli", "migrate"], cwd=PROJECT, env=environment, check=True)
        yield Place(settings, environment)


def as_ours(redis_url: str) -> str:
    """For connections of the benchmark itself, which Redis then knows by this name."""
    return f"{redis_url}?client_name={OURS}"


@contextmanager
def _empty_redis(url: str) -> Iterator[None]:
    with Redis.from_url(as_ours(url)) as redis:
        if redis.dbsize():
            raise SystemExit("There is something in this Redis: give an empty database of it in REDIS_URL.")
        yield
        redis.flushdb()


@contextmanager
def _valkey(home: Path, environment: dict[str, str], url: str) -> Iterator[None]:
    service = valkey.service(home, home / "valkey.sock", environment)
    with subprocess.Popen(service.command, env=service.environment, stdout=subprocess.DEVNULL) as process:
        try:
            _until(lambda: Redis.from_url(as_ours(url)).ping(), process)
            yield
        finally:
            process.terminate()


@contextmanager
def _running(arguments: list[str], environment: dict[str, str], port: int) -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-m", *arguments], cwd=PROJECT, env=environment) as process:
        try:
            keep_to_core(process.pid, 0)
            _until(lambda: socket.create_connection(("127.0.0.1", port)).close(), process)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def keep_to_core(pid: int, core: int) -> None:
    """Where the system can, and has more than one."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(pid, {core})


def _until(ask: Callable[[], object], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            ask()
        except (OSError, RedisConnectionError):
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"did not start: {process.args!r}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
