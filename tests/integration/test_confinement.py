"""What a model process can reach of the service as a plain process, and what it leaves behind."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.database_fixtures import Rows
from tests.file_server import FileServer
from tests.host import Host, installed
from tests.model_processes import PREDICTORS, ROOT, Heard, Start, answer, exists, listed, run
from worker.strays import _environment, _processes

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines"),
    pytest.mark.usefixtures("scratch"),
]
MODEL = "breaks_out"


def killed_in(scratch: Path, model: str = MODEL) -> Path:
    """The place of a model whose worker has been killed."""
    program = (
        "import asyncio, pathlib, sys, tempfile\n"
        "from worker.process import ModelProcess\n"
        "async def main():\n"
        "    tempfile.tempdir = sys.argv[2]\n"
        "    await (await ModelProcess.start(pathlib.Path(sys.argv[1]))).ready()\n"
        "    print('started', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(PREDICTORS / model), str(scratch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as worker:
        assert worker.stdout
        assert worker.stdout.readline() == b"started\n"
        worker.send_signal(signal.SIGKILL)
    [abandoned] = scratch.iterdir()
    return abandoned


def is_gone(pid: int) -> bool:
    """Or as good as: nobody has yet asked how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", ["stopped", "crashed"])
async def test_daemons_end_with_the_model_that_started_them(start: Start, how: str) -> None:
    process, other = await start("leaves_daemons"), await start("leaves_daemons")
    pids, spared = [(await run(each)).output for each in (process, other)]
    assert not any(is_gone(pid) for pid in (*pids, *spared))
    if how == "crashed":
        assert "signal" in (await run(process, dies=True)).error
    await process.stop()
    assert all(is_gone(pid) for pid in pids)
    assert not any(is_gone(pid) for pid in spared)


async def test_daemons_of_a_worker_that_was_killed_end_when_the_next_model_starts(start: Start, scratch: Path) -> None:
    abandoned = killed_in(scratch, "leaves_daemons")
    mark = os.fsencode(abandoned / "tmp")
    left = [pid for pid in _processes() if mark in _environment(pid)]
    assert len(left) >= 2
    await start(MODEL)
    assert all(is_gone(pid) for pid in left)
    assert not abandoned.exists()


async def test_what_the_worker_holds_in_memory_is_closed_to_its_models(start: Start) -> None:
    process = await start(MODEL)
    for name in ("environ", "mem", "maps", "fd/0"):
        assert await answer(process, "read", f"/proc/{os.getpid()}/{name}") == "PermissionError: Permission denied"


def test_a_sealed_process_shows_its_memory_to_nobody_but_root() -> None:
    program = "import ctypes; from shared.seal import seal; seal(); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True)
    assert asked.stdout == b"0\n"  # of PR_GET_DUMPABLE


async def test_no_descriptor_of_the_service_is_inherited(start: Start, tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        process = await start(MODEL)
        assert await answer(process, "descriptors") == 5  # standard input, output and error, two to speak with us


async def test_limits_are_set_and_cannot_be_raised(start: Start) -> None:
    core, hard_core, files, hard_files, tasks, hard_tasks = await answer(await start(MODEL), "limits")
    assert (core, hard_core) == (0, 0)
    assert files <= hard_files <= 65_536
    assert 8192 <= tasks <= hard_tasks


async def test_a_model_that_opens_files_without_end_fails_alone(start: Start) -> None:
    process = await start(MODEL)
    assert await answer(process, "open_many") == "OSError: Too many open files"
    assert await answer(process, "read", "notes.txt") == "pushed\n"


@pytest.mark.skipif(os.getuid() == 0, reason="the system counts no processes of root")
async def test_a_model_that_forks_without_end_fails_alone(start: Start) -> None:
    process = await start(MODEL)
    assert await answer(process, "fork_many", "1") == "BlockingIOError: Resource temporarily unavailable"
    assert await answer(process, "read", "notes.txt") == "pushed\n"


async def test_what_a_prediction_leaves_in_temporary_folders_goes_with_it(start: Start, scratch: Path) -> None:
    process = await start(MODEL)
    stay = process.stay("p1")
    left = await answer(process, "leave_files")
    assert all(exists(place) and place.startswith(str(scratch)) for place in left)
    await stay.end()
    assert not any(exists(place) for place in left)
    assert await answer(process, "temporary") != str(Path(left[0]).parent.parent)


async def test_an_empty_temporary_folder_is_used_again(start: Start) -> None:
    process = await start(MODEL)
    assert await answer(process, "temporary") == await answer(process, "temporary")


async def test_a_temporary_folder_that_is_none_ends_the_process(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import os, sys\n"
        'frame = b\'{"type":"done","id":"p1","status":"succeeded","error":null,\'\n'
        'frame += b\'"predict_time":1,"left":"../../..","output":null}\\n\'\n'
        "def predict() -> str:\n"
        "    for pipe in map(int, os.listdir('/dev/fd')):\n"
        "        try:\n"
        "            os.write(pipe, frame)\n"
        "        except OSError:\n"
        "            pass\n"
        "    return ''\n"
    )
    done = await run(await start(tmp_path))
    assert done.error == "The model process sent something that is no frame."


async def test_a_service_prediction_leaves_nothing(settings: Settings, rows: Rows, host: Host, scratch: Path) -> None:
    version_id = await installed(settings, rows, MODEL)
    row = await host.run(rows, version_id, input={"what": "leave_files"})
    assert row.status == "succeeded"
    assert not any(exists(place) for place in row.output)
    await host.residency.stop()
    assert listed(scratch) == []


async def test_predictions_at_once_share_a_temporary_folder_that_ends_with_the_process(
    start: Start, tmp_path: Path, scratch: Path
) -> None:
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nconcurrency:\n  max: 2\n")
    (tmp_path / "predict.py").write_text(
        "import tempfile\nasync def predict() -> str:\n    return tempfile.mkstemp()[1]\n"
    )
    process = await start(tmp_path)
    stay = process.stay("p1")
    left = (await run(process)).output
    await stay.end()
    assert exists(left)
    await process.stop()
    assert listed(scratch) == []


async def test_servers_of_multiprocessing_outlive_the_prediction_that_began_them(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\n")
    (tmp_path / "predict.py").write_text(
        "import multiprocessing.util, os\n"
        "def predict() -> bool:\n    return os.path.isdir(multiprocessing.util.get_temp_dir())\n"
    )
    process = await start(tmp_path)
    for _ in range(2):
        stay = process.stay("p1")
        assert (await run(process)).output is True
        await stay.end()


async def test_a_folder_that_the_model_has_chosen_itself_stays_its_own(start: Start, tmp_path: Path) -> None:
    (tmp_path / "cog.yaml").write_text("predict: predict.py:predict\nenvironment:\n  - TMPDIR=/var/tmp\n")
    (tmp_path / "predict.py").write_text("import tempfile\ntempfile.tempdir = '/tmp'\ndef predict() -> str:\n")
    with (tmp_path / "predict.py").open("a") as file:
        file.write("    return tempfile.gettempdir()\n")
    assert (await run(await start(tmp_path))).output == "/tmp"


async def test_a_file_outlives_the_process_that_made_it_until_it_is_stored(start: Start) -> None:
    process = await start(MODEL)
    stay = process.stay("p1")
    left = await answer(process, "leave_files")
    await process.stop()
    assert all(exists(place) for place in left)
    await stay.end()
    assert not any(exists(place) for place in left)


async def test_what_a_killed_worker_left_is_removed_at_the_next_start(start: Start, scratch: Path) -> None:
    abandoned = killed_in(scratch)
    assert exists(abandoned)
    process = await start(MODEL)
    assert not exists(abandoned)
    await process.stop()
    assert listed(scratch) == []


async def test_the_default_of_a_file_is_fetched_by_the_service(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer
) -> None:
    version_id = await installed(settings, rows, "takes_a_default_file")
    source = settings.home / "versions" / version_id / "predict.py"
    source.write_text(source.read_text().replace("http://default.test/cat.txt", file_server.gives("/cat.txt", b"meow")))
    row = await host.run(rows, version_id, input={})
    assert (row.status, row.error) == ("succeeded", None)
    assert row.output.startswith(str(settings.home / "run" / "predictions" / version_id))
    assert row.input == {}


async def test_a_cancel_still_ends_a_sleep_in_c(start: Start) -> None:
    process, heard = await start(MODEL), Heard()
    running = asyncio.create_task(run(process, heard, what="sleep", at="600"))
    await heard.until(lambda heard: bool(heard.logs))
    process.cancel("p1")
    assert (await running).status == "canceled"
    assert process.alive
