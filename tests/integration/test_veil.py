"""What a model behind a veil does not see of the service, and that it has all else as it would have without one."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.isolation import Level, find_obstacle, find_program
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import Rows
from tests.file_server import FileServer
from tests.host import Host, installed
from tests.model_processes import PREDICTORS, ROOT, Start, answer, content_of, listed
from worker.kept_places import kept_places
from worker.process import ModelProcess
from worker.veil import Veil

MODEL = "breaks_out"
GONE = "FileNotFoundError: No such file or directory"
SECRETS = ("token", "encryption-key", "pinion.db", "valkey.sock", "versions/other/predict.py", "files/ab/upload")
pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(autouse=True)
def needs_veil() -> None:
    if obstacle := find_obstacle(Level.VEIL):
        pytest.skip(obstacle)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With all that the service keeps, and a version."""
    home = tmp_path / "share" / "pinion"
    for name in SECRETS:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("canary")
    shutil.copytree(PREDICTORS / MODEL, version_folder(home, "mine"))
    return home


def veil_over(home: Path, *shown: Path, **settings: str) -> Veil:
    program = find_program()
    assert program
    return Veil(program, shown, hidden=kept_places(Settings(home=home, **settings)))  # type: ignore[arg-type]


def disks() -> list[str]:
    return [str(device) for device in Path("/dev").iterdir() if device.is_block_device()]


@pytest.fixture
async def process(start: Start, home: Path) -> ModelProcess:
    return await start(version_folder(home, "mine"), enclosure=veil_over(home))


async def test_what_the_service_keeps_is_neither_there_to_read_nor_to_remove(process: ModelProcess, home: Path) -> None:
    for name in SECRETS:
        assert await answer(process, "read", home / name) == GONE
        assert await answer(process, "remove", home / name) == GONE
        await answer(process, "write", home / name)
        assert (home / name).read_text() == "canary"
    assert "Device or resource busy" in await answer(process, "rename", home)
    assert await answer(process, "look", home / "versions") == ["mine"]


async def test_what_was_made_in_the_temporary_folder_is_renamed_into_place(process: ModelProcess, home: Path) -> None:
    assert await answer(process, "rename_into_place") == "whole"


async def test_it_cannot_be_lifted_in_namespaces_of_the_models_own(process: ModelProcess, home: Path) -> None:
    assert await answer(process, "uncover", home) == ["free", "EINVAL", "versions"]


async def test_no_process_of_the_service_is_in_sight(process: ModelProcess, home: Path) -> None:
    assert await answer(process, "read", f"/proc/{os.getpid()}/root{home}/token") == GONE
    assert await answer(process, "read", f"/proc/{os.getpid()}/environ") == GONE
    seen = {int(name) for name in await answer(process, "look", "/proc") if name.isdigit()}
    assert len(seen) <= 3
    for pid in seen:
        assert "canary" not in await answer(process, "read", f"/proc/{pid}/root{home}/token")


async def test_no_disk_and_no_switch_of_the_kernel_is_in_reach(process: ModelProcess) -> None:
    for device in ("/dev/mem", "/dev/kmsg", *disks()):
        assert await answer(process, "open_device", device) == GONE
    read_only = {"OSError: Read-only file system", "PermissionError: Permission denied"}
    for switch in ("/proc/sys/kernel/core_pattern", "/sys/kernel/uevent_helper"):
        assert await answer(process, "write", switch) in read_only


async def test_a_device_that_lies_elsewhere_does_not_work(process: ModelProcess, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make devices")
    os.mknod(tmp_path / "zero", 0o20666, os.stat("/dev/zero").st_rdev)
    assert await answer(process, "open_device", tmp_path / "zero") == "PermissionError: Permission denied"


async def test_it_keeps_its_own_folder_and_may_write_there(process: ModelProcess, home: Path) -> None:
    assert await answer(process, "read", "notes.txt") == "pushed\n"
    assert await answer(process, "write", "made.txt") == "written"
    await process.stop()
    assert (version_folder(home, "mine") / "made.txt").read_text() == "mine"


async def test_it_has_the_network_and_this_machine(process: ModelProcess, file_server: FileServer, home: Path) -> None:
    assert await answer(process, "connect", file_server.url.removeprefix("http://")) == "connected"
    assert await answer(process, "look", Path.home()) == listed(Path.home())
    assert await answer(process, "write", home.parent / "notes.txt") == "written"
    assert (home.parent / "notes.txt").read_text() == "mine"
    assert sorted(await answer(process, "look", "/dev/shm")) == sorted(os.listdir("/dev/shm"))


async def test_its_environment_is_that_of_a_plain_process(
    start: Start, home: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    monkeypatch.setenv("HF_TOKEN", "canary")
    veiled, usual = [
        await answer(await start(version_folder(home, "mine"), enclosure=each), "environment")
        for each in (veil_over(home), None)
    ]
    own = {"TMPDIR", "TORCHINDUCTOR_CACHE_DIR", "PWD"}
    assert veiled.keys() - own == usual.keys() - own
    assert all(veiled[name] == usual[name] for name in veiled.keys() - own)
    assert veiled["TMPDIR"].startswith(f"{scratch}/pinion-model-")


async def test_a_linked_folder_is_where_it_lies_also_around_the_home(start: Start, home: Path) -> None:
    linked = Path(shutil.copytree(PREDICTORS / MODEL, home.parent, dirs_exist_ok=True))
    version_folder(home, "linked").symlink_to(linked)
    process = await start(version_folder(home, "linked"), enclosure=veil_over(home))
    assert await answer(process, "read", "notes.txt") == "pushed\n"
    assert await answer(process, "read", "pinion/token") == GONE
    assert await answer(process, "write", "made.txt") == "written"
    assert (linked / "made.txt").read_text() == "mine"
    assert content_of((await answer(process, "answer_file", "made-too.txt"))["$file"]) == b"made here"


async def test_a_linked_folder_in_the_home_is_shown(start: Start, home: Path) -> None:
    linked = Path(shutil.copytree(PREDICTORS / MODEL, home / "models" / "one"))
    version_folder(home, "linked").symlink_to(linked)
    process = await start(version_folder(home, "linked"), enclosure=veil_over(home))
    assert await answer(process, "write", "made.txt") == "written"
    assert (linked / "made.txt").read_text() == "mine"
    assert await answer(process, "look", home) == ["models", "versions"]


async def test_a_home_that_is_reached_by_a_link_is_hidden_under_both_names(
    start: Start, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "data").symlink_to(home)
    process = await start(version_folder(tmp_path / "data", "mine"), enclosure=veil_over(tmp_path / "data"))
    for place in (home, tmp_path / "data"):
        assert await answer(process, "look", place) == ["versions"]


async def test_caches_that_lie_in_the_home_are_shown(start: Start, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "hub"))
    process = await start(version_folder(home, "mine"), enclosure=veil_over(home))
    assert await answer(process, "look", home) == [".cache", "hub", "versions"]
    for name in ("hub", ".cache"):
        assert await answer(process, "write", home / name / "weights") == "written"
        assert (home / name / "weights").exists()


async def test_the_database_and_the_socket_are_hidden_where_they_lie_elsewhere(
    start: Start, home: Path, tmp_path: Path
) -> None:
    shared, private = tmp_path / "shared", tmp_path / "private"
    shared.mkdir(mode=0o755)
    private.mkdir(mode=0o700)
    kept = [shared / "pinion.db", shared / "pinion.db-wal", private / "valkey.sock"]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(kept[2]))
        listener.listen()
        for database in kept[:2]:
            database.write_text("canary")
        (shared / "models.txt").write_text("visible")
        addresses = {"database_url": f"sqlite:///{kept[0]}", "redis_url": f"unix://{kept[2]}"}
        process = await start(version_folder(home, "mine"), enclosure=veil_over(home, **addresses))
        for place in kept[:2]:
            assert await answer(process, "read", place) == "PermissionError: Permission denied"
            assert await answer(process, "remove", place) == "OSError: Device or resource busy"
        assert await answer(process, "read", shared / "models.txt") == "visible"
        assert await answer(process, "connect", kept[2]) == GONE
        assert await answer(process, "look", private) == []


async def test_a_settings_file_beside_the_project_is_hidden(
    start: Start, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PINION_API_TOKEN=canary")
    monkeypatch.setattr("worker.kept_places.RUNTIME", tmp_path / "runtime")
    hidden = kept_places(Settings(home=home))
    assert tmp_path / ".env" in hidden
    program = find_program()
    assert program
    monkeypatch.undo()
    process = await start(version_folder(home, "mine"), enclosure=Veil(program, hidden=hidden))
    assert await answer(process, "read", tmp_path / ".env") == "PermissionError: Permission denied"


async def test_one_account_has_its_models_behind_a_veil(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, MODEL)
    home = settings.home
    for name in ("versions", "run/predictions"):
        (home / name / "other").mkdir(parents=True, exist_ok=True)
    seen = {home: ["run", "versions"], home / "versions": [version_id], home / "run" / "predictions": [version_id]}
    for place, entries in (seen | {ROOT: listed(ROOT)}).items():
        assert (await host.run(rows, version_id, input={"what": "look", "at": str(place)})).output == entries


async def test_without_bubblewrap_one_account_has_plain_processes_and_no_warnings(
    settings: Settings, rows: Rows, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    (settings.home / "token").write_text("canary")
    version_id = await installed(settings, rows, MODEL)
    with capture_logs() as said:
        row = await host.run(rows, version_id, input={"what": "read", "at": str(settings.home / "token")})
    assert row.output == "canary"
    assert said == []


async def test_a_file_of_the_service_is_not_handed_out(settings: Settings, rows: Rows, host: Host) -> None:
    (settings.home / "token").write_text("canary")
    version_id = await installed(settings, rows, MODEL)
    row = await host.run(rows, version_id, input={"what": "forge_file", "at": str(settings.home / "token")})
    assert row.error == "The model may not hand out the file token: it is not one of its own."
