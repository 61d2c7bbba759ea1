"""Children of a process tree: started again, ended, and gone also when we are killed.

Real processes; none of them is a service of ours.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import logs, process_tree, watchdog
from cli.failure import Failure
from cli.process_tree import ProcessTree, Service

SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP
WITH_GRANDCHILD = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input"
PARENT = """
import asyncio, os, sys
from pathlib import Path
from cli import process_tree
async def main(folder, code):
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
    async with process_tree.ProcessTree(folder, lock, print) as tree:
        tree.keep(process_tree.Service("child", (sys.executable, "-c", code), os.environ))
        await tree.watch()
if sys.argv[3] == "without help of the kernel":
    process_tree._bind_to_us = lambda: None
asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


def service(code: str, name: str = "child") -> Service:
    return Service(name, (sys.executable, "-c", code), os.environ)


def wait_until(holds: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


async def until(holds: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, holds)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def printed(folder: Path, name: str = "child") -> list[int]:
    log = folder / f"{name}.log"
    return [int(word) for word in log.read_text().split()] if log.exists() else []


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tree(tmp_path: Path, lock: int, said: list[str]) -> ProcessTree:
    return ProcessTree(tmp_path, lock, said.append)


async def test_a_service_that_ends_is_started_again_and_that_is_said(
    tree: ProcessTree, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_tree, "_FIRST_PAUSE_SECONDS", 0.01)
    async with tree:
        tree.keep(service("import os; print(os.getpid()); raise SystemExit(3)"))
        await until(lambda: len(printed(tmp_path)) >= 3)
    assert said[0].startswith("child ended (exit code 3); starting it again in 0.01 s. Log: ")
    assert "in 0.02 s" in said[1]


async def test_leaving_ends_everything(tree: ProcessTree, tmp_path: Path) -> None:
    async with tree:
        tree.keep(service(SLEEP, "one"))
        tree.keep(service(SLEEP, "two"))
        await until(lambda: printed(tmp_path, "one") and printed(tmp_path, "two"))
    assert not any(is_alive(pid) for name in ("one", "two") for pid in printed(tmp_path, name))


async def test_what_a_service_leaves_in_its_group_is_ended_too(tree: ProcessTree, tmp_path: Path) -> None:
    async with tree:
        await tree.run(service(WITH_GRANDCHILD))
        (grandchild,) = printed(tmp_path)
        await until(lambda: not is_alive(grandchild))


async def test_a_foundation_goes_last(tree: ProcessTree, tmp_path: Path) -> None:
    tell = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print(time.time_ns()), sys.exit()));"
    code = f"{tell} print(1, flush=True); time.sleep(60)"
    async with tree:
        tree.keep(Service("valkey", (sys.executable, "-c", code), os.environ, is_foundation=True))
        tree.keep(service(code, "worker"))
        await until(lambda: printed(tmp_path, "valkey") and printed(tmp_path, "worker"))
    assert printed(tmp_path, "worker")[1] < printed(tmp_path, "valkey")[1]


async def test_a_second_interrupt_ends_a_stubborn_service_at_once(tree: ProcessTree, tmp_path: Path) -> None:
    async with tree:
        tree.keep(service(STUBBORN))
        await until(lambda: printed(tmp_path))
        tree.hurry()
        started = time.monotonic()
    assert time.monotonic() - started < 6, "it was given its whole time to end"
    assert not is_alive(printed(tmp_path)[0])


async def test_a_command_that_fails_is_told_in_its_own_last_words(tree: ProcessTree, tmp_path: Path) -> None:
    (tmp_path / "child.log").write_text("words of an earlier run\n")
    async with tree:
        with pytest.raises(Failure, match=r"^the cause$"):
            await tree.run(service("import sys; print('before'); sys.exit('pinion: the cause')"))
        with pytest.raises(Failure, match=r"child failed; see .*child\.log"):
            await tree.run(service("raise SystemExit(1)"))


async def test_a_command_beside_everything_else_may_end_as_it_likes(
    tree: ProcessTree, tmp_path: Path, said: list[str]
) -> None:
    async with tree:
        tree.start(service("import os; print(os.getpid()); raise SystemExit(1)"))
        await until(lambda: printed(tmp_path) and not is_alive(printed(tmp_path)[0]))
        tree.start(service(SLEEP, "second"))
        await until(lambda: printed(tmp_path, "second"))
    assert not is_alive(printed(tmp_path, "second")[0])
    assert said == []


async def test_dying_while_it_is_waited_for_ends_the_waiting(tree: ProcessTree) -> None:
    async def never() -> bool:
        return False

    async with tree:
        child = service("raise OSError('no room')")
        tree.keep(child)
        with pytest.raises(Failure, match="The service child does not start: OSError: no room"):
            await tree.until_ready(child, never, 30)


async def test_a_program_that_is_not_there_ends_the_waiting(tree: ProcessTree) -> None:
    async def never() -> bool:
        return False

    async with tree:
        missing = Service("missing", ("/nowhere/valkey",), os.environ)
        tree.keep(missing)
        with pytest.raises(FileNotFoundError):
            await tree.until_ready(missing, never, 30)


async def test_a_service_that_is_never_ready_is_given_up(tree: ProcessTree, tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with tree:
        child = service(SLEEP)
        tree.keep(child)
        await until(lambda: printed(tmp_path))
        with pytest.raises(Failure, match=r"child is not ready after 0 s: \d+"):
            await tree.until_ready(child, never, 0.05)


async def test_verbose_shows_what_services_write(tmp_path: Path, lock: int, said: list[str]) -> None:
    async with ProcessTree(tmp_path, lock, said.append, is_verbose=True) as tree:
        tree.keep(service("import time; print('hello', flush=True); time.sleep(60)"))
        await until(lambda: said == ["child | hello"])


async def test_a_killed_watchdog_is_replaced(tree: ProcessTree, tmp_path: Path) -> None:
    async with tree:
        first = tree._guard._process
        assert first
        first.kill()
        first.wait()
        tree.keep(service(SLEEP))
        await until(lambda: printed(tmp_path))
        assert tree._guard._process is not first
    assert not is_alive(printed(tmp_path)[0])


@pytest.mark.parametrize("way", ["with help of the kernel", "without help of the kernel"])
def test_nothing_outlives_a_killed_parent(tmp_path: Path, way: str) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path, SLEEP, way]) as parent:
        wait_until(lambda: printed(tmp_path))
        parent.kill()
    (child,) = printed(tmp_path)
    wait_until(lambda: not is_alive(child), seconds=2)


def test_the_watchdog_kills_what_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_GRACE_SECONDS", 0.1)
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True) as stubborn:
        assert stubborn.stdout
        stubborn.stdout.readline()
        watchdog.end([stubborn.pid])
    assert stubborn.returncode == -signal.SIGKILL


def test_the_watchdog_does_nothing_to_what_has_ended() -> None:
    reading, writing = os.pipe()
    with subprocess.Popen([sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, start_new_session=True) as child:
        os.write(writing, f"+{child.pid}\n-{child.pid}\n".encode())
        os.close(writing)
        watchdog.watch(reading)
        assert child.poll() is None
        child.kill()


def test_a_large_log_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LARGEST_BYTES", 4)
    log = tmp_path / "api.log"
    log.write_text("small"[:4])
    logs.rotate(log)
    assert log.exists()
    log.write_text("large")
    logs.rotate(log)
    assert not log.exists()
    assert (tmp_path / "api.log.1").read_text() == "large"
