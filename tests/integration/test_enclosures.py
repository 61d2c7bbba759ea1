"""What holds in a sandbox and behind a veil alike: models work there as they do elsewhere, and end as they do there."""

import asyncio
import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from shared import files
from shared.database import Database
from shared.isolation import Isolation, Level, find_obstacle, find_program
from shared.live import Feed
from shared.settings import Settings
from tests.database_fixtures import Rows
from tests.file_server import FileServer
from tests.host import hosting, installed
from tests.model_processes import PREDICTORS, Heard, Start, answer, content_of, is_running, listed, run, until
from worker.enclosure import Enclosure
from worker.memory import HostMemory
from worker.process import ModelProcess
from worker.sandbox import Sandbox
from worker.veil import Veil

MODEL = "breaks_out"
pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(params=[Level.SANDBOX, Level.VEIL])
def level(request: pytest.FixtureRequest) -> Level:
    if obstacle := find_obstacle(request.param):
        pytest.skip(obstacle)
    return Level(request.param)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The model's folder in a home that is hidden."""
    return Path(shutil.copytree(PREDICTORS / MODEL, tmp_path / "home" / "versions" / "mine"))


@pytest.fixture
def enclosure(level: Level, source: Path, tmp_path: Path) -> Enclosure:
    program = find_program()
    assert program
    return Sandbox(program) if level == Level.SANDBOX else Veil(program, hidden=(tmp_path / "home",))


@pytest.fixture
async def process(start: Start, enclosure: Enclosure, source: Path) -> ModelProcess:
    return await start(source, enclosure=enclosure)


def processes_that_run(command: list[str]) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == command]


async def test_a_canceled_sleep_in_c_ends_and_the_process_goes_on(process: ModelProcess) -> None:
    heard = Heard()
    running = asyncio.create_task(run(process, heard, what="sleep", at="600"))
    await heard.until(lambda heard: bool(heard.logs))
    process.cancel("p1")
    assert (await running).status == "canceled"
    assert await answer(process, "read", "notes.txt") == "pushed\n"


async def test_a_prediction_that_does_not_hear_a_cancel_costs_the_process(start: Start, enclosure: Enclosure) -> None:
    process, heard = await start("ignores_cancel", enclosure=enclosure), Heard()
    running = asyncio.create_task(run(process, heard))
    await heard.until(lambda heard: bool(heard.logs or heard.items))
    process.cancel("p1")
    assert (await running).status == "canceled"
    await process.wait_closed()


async def test_a_daemon_does_not_outlive_the_process(process: ModelProcess) -> None:
    assert await answer(process, "daemon", "612.5") == "left"
    command = ["sleep", "612.5"]
    await until(lambda: bool(processes_that_run(command)))
    await process.stop()
    await until(lambda: not processes_that_run(command))


async def test_it_dies_with_its_leader(process: ModelProcess) -> None:
    await answer(process, "daemon", "613.5")
    os.kill(process.group, signal.SIGKILL)
    await process.wait_closed()
    assert process.fault
    assert process.fault.startswith("The model process was killed by signal 9 (SIGKILL)")
    await until(lambda: not processes_that_run(["sleep", "613.5"]))


async def test_how_it_died_is_told_as_elsewhere(start: Start, enclosure: Enclosure) -> None:
    for name, given in (("exits", {"code": 3, "at_once": True}), ("kills_itself", {})):
        usual, here = [await run(await start(name, enclosure=each), **given) for each in (None, enclosure)]
        assert usual == here
        assert usual.status == "failed"


async def test_a_file_made_beside_the_code_is_found_on_our_side(process: ModelProcess) -> None:
    assert content_of((await answer(process, "answer_file", "made.txt"))["$file"]) == b"made here"


async def test_the_memory_of_the_whole_sandbox_is_counted(start: Start, enclosure: Enclosure) -> None:
    process = await start("fills_memory", enclosure=enclosure)
    reading = HostMemory(1 << 40).read([process.group])
    assert reading.taken_bytes[process.group] > 5_000_000


async def test_it_stops_within_the_grace(process: ModelProcess) -> None:
    leader = process.group
    async with asyncio.timeout(5):
        await process.stop(timedelta(seconds=60))
    assert not is_running(leader)


async def test_the_service_runs_predictions_with_files(
    settings: Settings, database: Database, feed: Feed, rows: Rows, level: Level, file_server: FileServer, scratch: Path
) -> None:
    wanted = Isolation.SANDBOX if level == Level.SANDBOX else Isolation.AUTO
    version_id = await installed(settings, rows, "copies_a_file")
    async with hosting(settings.model_copy(update={"isolation": wanted}), database, feed) as host:
        row = await host.run(rows, version_id, input={"file": file_server.gives("/cat.txt", b"meow")})
    assert (row.status, row.error) == ("succeeded", None)
    file = await files.find(database, row.output["$file"].partition("/")[0])
    assert file
    content = files.content_of(settings.home, file)
    assert content
    assert content.read_bytes() == b"meow"
    assert listed(scratch) == []
