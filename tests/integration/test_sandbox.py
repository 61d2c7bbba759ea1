"""What a model in a sandbox sees and what it does not, and when there is one."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.accounts import create
from shared.contract import AccountType
from shared.database import Database
from shared.isolation import Isolation, Level, find_obstacle, find_program, judge
from shared.live import Feed
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import Rows
from tests.file_server import FileServer
from tests.host import Host, hosting, installed
from tests.model_processes import PREDICTORS, ROOT, Start, answer, content_of, listed
from worker.events import SetupFailed
from worker.process import ModelProcess
from worker.sandbox import Sandbox

MODEL = "breaks_out"
GONE = "FileNotFoundError: No such file or directory"
READ_ONLY = "OSError: Read-only file system"
pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def needs_sandbox() -> None:
    if obstacle := find_obstacle(Level.SANDBOX):
        pytest.skip(obstacle)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    program = find_program()
    assert program
    (tmp_path / "shared").mkdir()
    return Sandbox(program, shared=(tmp_path / "shared",))


@pytest.fixture
async def process(start: Start, sandbox: Sandbox) -> ModelProcess:
    return await start(MODEL, enclosure=sandbox)


@pytest_asyncio.fixture
async def secluded(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[Host]:
    """A host whose models run in sandboxes."""
    async with hosting(settings.model_copy(update={"isolation": Isolation.SANDBOX}), database, feed) as opened:
        yield opened


async def test_no_file_of_the_service_is_there(process: ModelProcess, settings: Settings, tmp_path: Path) -> None:
    for name in ("token", "pinion.db", "valkey.sock"):
        (tmp_path / name).write_text("canary")
        assert await answer(process, "read", tmp_path / name) == GONE
    assert not {"pyproject.toml", "shared", ".git"} & set(await answer(process, "look", ROOT))
    assert await answer(process, "look", PREDICTORS) == [MODEL]
    assert await answer(process, "read", "/etc/shadow") == GONE
    assert "canary" not in (await answer(process, "environment")).values()


async def test_no_process_of_the_service_is_in_sight(process: ModelProcess) -> None:
    assert await answer(process, "read", f"/proc/{os.getpid()}/environ") == GONE
    seen = {int(name) for name in await answer(process, "look", "/proc") if name.isdigit()}
    assert len(seen) <= 3


async def test_there_is_no_network(process: ModelProcess, file_server: FileServer, tmp_path: Path) -> None:
    place = file_server.url.removeprefix("http://")
    assert await answer(process, "connect", place) == "ConnectionRefusedError: Connection refused"  # its own loopback
    assert "unreachable" in await answer(process, "connect", "192.0.2.1:80")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "valkey.sock"))
        listener.listen()
        assert await answer(process, "connect", tmp_path / "valkey.sock") == GONE


async def test_its_environment_holds_nothing_of_ours(start: Start, sandbox: Sandbox, monkeypatch: Any) -> None:
    for secret in ("HF_TOKEN", "HTTPS_PROXY", "DATABASE_URL", "XDG_CACHE_HOME"):
        monkeypatch.setenv(secret, "canary")
    seen = await answer(await start(MODEL, enclosure=sandbox), "environment")
    assert "canary" not in seen.values()
    assert (seen["HOME"], seen["TMPDIR"].partition("/prediction-")[0]) == ("/home/model", "/tmp")


async def test_the_system_and_what_was_pushed_are_read_only(process: ModelProcess) -> None:
    assert await answer(process, "write", "/usr/mine") == READ_ONLY
    assert await answer(process, "write", PREDICTORS / MODEL / "notes.txt") == READ_ONLY
    assert await answer(process, "read", "notes.txt") == "pushed\n"


async def test_it_may_write_beside_its_code_at_home_and_in_tmp_and_nothing_of_it_stays(
    process: ModelProcess, scratch: Path
) -> None:
    for place in ("made.txt", "/home/model/made.txt", "/tmp/made.txt", "/dev/shm/made.txt"):
        assert await answer(process, "write", place) == "written"
    assert not (PREDICTORS / MODEL / "made.txt").exists()
    await process.stop()
    assert listed(scratch) == []


@pytest.mark.parametrize("place", ["/tmp/made.txt", "/home/model/made.txt"])
async def test_files_it_answers_with_are_found_on_our_side(process: ModelProcess, place: str) -> None:
    assert content_of((await answer(process, "answer_file", place))["$file"]) == b"made here"


async def test_a_file_that_the_model_does_not_see_is_not_handed_out(
    settings: Settings, rows: Rows, secluded: Host, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("canary")
    version_id = await installed(settings, rows, MODEL)
    row = await secluded.run(rows, version_id, input={"what": "forge_file", "at": str(secret)})
    assert row.status == "failed"
    assert row.error == "The model may not hand out the file secret.txt: it is not one of its own."


async def test_a_model_does_not_see_those_of_others_nor_their_predictions(
    settings: Settings, rows: Rows, secluded: Host
) -> None:
    version_id = await installed(settings, rows, MODEL)
    for name in ("versions", "run/predictions"):
        (settings.home / name / "other").mkdir(parents=True, exist_ok=True)
        row = await secluded.run(rows, version_id, input={"what": "look", "at": str(settings.home / name)})
        assert row.output == [version_id]
    assert version_folder(settings.home, version_id).is_dir()


def test_it_is_judged_by_what_is_wanted_and_by_how_many_accounts_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(Isolation.AUTO, 1).level == Level.VEIL
    assert judge(Isolation.AUTO, 2).level == Level.SANDBOX
    assert judge(Isolation.SANDBOX, 0).level == Level.SANDBOX
    assert judge(Isolation.PROCESS, 2).level == Level.PROCESS
    monkeypatch.setenv("PATH", "/nowhere")
    assert {judge(wanted, 2).level for wanted in Isolation} == {Level.PROCESS}


async def test_a_second_account_puts_the_next_process_into_a_sandbox(
    settings: Settings, rows: Rows, host: Host, database: Database
) -> None:
    version_id = await installed(settings, rows, MODEL)
    tells = {"what": "environment"}
    assert (await host.run(rows, version_id, input=tells)).output["HOME"] == str(Path.home())
    await create(database, "ada", AccountType.USER, "Ada")
    await host.residency.resident(version_id).unload()
    assert (await host.run(rows, version_id, input=tells)).output["HOME"] == "/home/model"


@pytest.mark.parametrize("wanted", [Isolation.SANDBOX, Isolation.AUTO])
async def test_without_bubblewrap_a_sandbox_that_is_insisted_on_is_a_failed_setup(
    settings: Settings, rows: Rows, database: Database, feed: Feed, monkeypatch: pytest.MonkeyPatch, wanted: Isolation
) -> None:
    await create(database, "ada", AccountType.USER, "Ada")
    monkeypatch.setenv("PATH", "/nowhere")
    version_id = await installed(settings, rows, MODEL)
    async with hosting(settings.model_copy(update={"isolation": wanted}), database, feed) as host:
        row = await host.run(rows, version_id, input={"what": "read", "at": "notes.txt"})
    if wanted == Isolation.AUTO:
        assert row.output == "pushed\n"
    else:
        assert row.error == (
            "The model could not be set up: Models are to run in a sandbox (PINION_ISOLATION), and there can be none "
            "here: bubblewrap (bwrap) is not installed."
        )


async def test_a_folder_with_too_many_entries_is_refused_with_a_sentence(
    start: Start, sandbox: Sandbox, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "cog.yaml").write_text("predict: predict.py:predict\n")
    for number in range(1000):
        (model / str(number)).touch()
    with pytest.raises(SetupFailed, match="put them into a folder of their own"):
        await start(model, enclosure=sandbox)
