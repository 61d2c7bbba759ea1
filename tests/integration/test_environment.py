"""A model's own environment, built by uv from packages made on the spot: no network is needed.

Two Pythons are needed besides ours; what this machine lacks is skipped and named.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from shared.contract import VersionStatus
from shared.database import Database
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Version
from tests.database_fixtures import Rows, until
from tests.wheels import make_wheel
from worker.build import Builder
from worker.environment import Environments
from worker.events import Done, SetupFailed
from worker.interpreters import OWN_VERSION, find_interpreter
from worker.memory import HostMemory, usual_budget
from worker.outbound import Outbound
from worker.process import ModelProcess
from worker.residency import Residency
from worker.roles import provisions
from worker.shelf import STAMP
from worker.surroundings import build_environment

PREDICTOR = """
import sys

import localpkg


def predict() -> str:
    return f"{localpkg.VERSION} on {sys.version_info.major}.{sys.version_info.minor}"
"""


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    for version in ("1.0", "2.0"):
        make_wheel(tmp_path / "wheels", "localpkg", version)
    return tmp_path / "wheels"


@pytest.fixture
def environments(tmp_path: Path) -> Environments:
    return Environments(tmp_path / "home", timedelta(minutes=5))


def model(folder: Path, build: str, predictor: str = PREDICTOR) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cog.yaml").write_text(f"predict: predict.py:predict\nbuild: {build}\n")
    (folder / "predict.py").write_text(predictor)
    return folder


def wanting(wheels: Path, package: str = "localpkg==1.0", python: str = OWN_VERSION) -> str:
    lines = ["--no-index", f"--find-links {wheels}", package]
    return f"{{python_version: '{python}', python_packages: {lines}}}"


async def answer(source: Path, python: Path) -> Done:
    process = await ModelProcess.start(source, python=python)
    try:
        await process.ready()
        return await process.predict("one", {}, lambda event: None)
    finally:
        await process.stop()


async def another_python() -> str:
    """One that is neither ours nor missing."""
    for version in ("3.10", "3.12", "3.13", "3.9"):
        try:
            return (await find_interpreter(version, build_environment({}))).version if version != OWN_VERSION else ""
        except SetupFailed:
            continue
    pytest.skip("this machine has no other Python")


async def test_a_model_finds_its_packages_in_an_environment_of_its_own(
    environments: Environments, tmp_path: Path, wheels: Path
):
    source = model(tmp_path / "model", wanting(wheels))
    said: list[str] = []
    python = await environments.python_for("a" * 64, source, said.append)
    assert (await answer(source, python)).output == f"1.0 on {OWN_VERSION}"
    assert "+ localpkg==1.0" in "".join(said)


async def test_another_python_runs_the_model_that_asks_for_it(environments: Environments, tmp_path: Path, wheels: Path):
    version = ".".join((await another_python()).split(".")[:2])
    source = model(tmp_path / "model", wanting(wheels, "localpkg", python=version))
    python = await environments.python_for("a" * 64, source, lambda text: None)
    assert (await answer(source, python)).output == f"2.0 on {version}"


async def test_a_python_nobody_has_is_refused_with_those_there_are(environments: Environments, tmp_path: Path):
    source = model(tmp_path / "model", "{python_version: '3.77'}")
    with pytest.raises(SetupFailed, match=r"wants Python 3\.77, which this machine does not have \(found: 3\.\d+"):
        await environments.python_for("a" * 64, source, lambda text: None)


async def test_without_packages_the_services_own_libraries_are_there(environments: Environments, tmp_path: Path):
    source = model(tmp_path / "model", f"{{python_version: '{OWN_VERSION}'}}")
    assert await environments.python_for("a" * 64, source, lambda text: None) == Path(sys.executable)


async def test_equal_wishes_share_an_environment_and_others_do_not(
    environments: Environments, tmp_path: Path, wheels: Path
):
    wishes = {"a": "localpkg==1.0", "b": "localpkg==1.0", "c": "localpkg==2.0"}
    one, same, other = [
        await environments.python_for(letter * 64, model(tmp_path / letter, wanting(wheels, wish)), lambda text: None)
        for letter, wish in wishes.items()
    ]
    assert one == same
    assert one != other


async def test_two_builds_at_once_make_one_environment(tmp_path: Path, wheels: Path):
    said: list[str] = []

    async def build(letter: str) -> Path:
        environments = Environments(tmp_path / "home", timedelta(minutes=5))  # as of another process
        source = model(tmp_path / letter, wanting(wheels))
        return await environments.python_for(letter * 64, source, said.append)

    first, second = await asyncio.gather(build("a"), build("b"))
    assert first == second
    assert "".join(said).count("Making an environment") == 1


async def test_an_environment_cut_short_is_made_anew(environments: Environments, tmp_path: Path, wheels: Path):
    source = model(tmp_path / "model", wanting(wheels))
    python = await environments.python_for("a" * 64, source, lambda text: None)
    (python.parent.parent / STAMP).unlink()
    next(python.parent.parent.rglob("localpkg.py")).unlink()
    await environments.python_for("b" * 64, source, lambda text: None)
    assert (await answer(source, python)).output == f"1.0 on {OWN_VERSION}"


async def test_what_was_built_for_a_version_is_kept_whatever_is_set_since(
    tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch
):
    source = model(tmp_path / "model", wanting(wheels))
    built = await Environments(tmp_path / "home", timedelta(minutes=5)).python_for("a" * 64, source, lambda text: None)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://moved.example")
    later = Environments(tmp_path / "home", timedelta(minutes=5))
    assert await later.python_for("a" * 64, source, lambda text: None) == built


async def test_a_package_nobody_has_is_named_and_nothing_is_left(
    environments: Environments, tmp_path: Path, wheels: Path
):
    source = model(tmp_path / "model", wanting(wheels, "localpkg==9.9"))
    said: list[str] = []
    with pytest.raises(SetupFailed, match=r"could not be built: .*localpkg==9\.9"):
        await environments.python_for("a" * 64, source, said.append)
    assert "localpkg==9.9" in "".join(said)
    assert not [path for path in (tmp_path / "home" / "environments").iterdir() if path.is_dir()]


async def test_a_requirements_file_with_wheels_beside_it_is_installed(environments: Environments, tmp_path: Path):
    source = model(tmp_path / "model", "{python_requirements: requirements.txt}")
    make_wheel(source / "wheels", "localpkg", "3.0")
    (source / "requirements.txt").write_text("cog==0.9.4\n--no-index\n--find-links wheels\nlocalpkg\n")
    said: list[str] = []
    python = await environments.python_for("a" * 64, source, said.append)
    assert (await answer(source, python)).output == f"3.0 on {OWN_VERSION}"
    assert "cog==0.9.4 is left out" in "".join(said)


async def test_a_home_that_cannot_be_written_fails_the_build_with_a_sentence(
    environments: Environments, tmp_path: Path, wheels: Path
):
    (tmp_path / "home").write_text("no folder")
    with pytest.raises(SetupFailed, match=r"could not be built: Not a directory"):
        await environments.python_for("a" * 64, model(tmp_path / "model", wanting(wheels)), lambda text: None)


async def test_a_build_that_takes_too_long_is_ended(tmp_path: Path, wheels: Path):
    source = model(tmp_path / "model", wanting(wheels))
    hurried = Environments(tmp_path / "home", timedelta(milliseconds=1))
    with pytest.raises(SetupFailed, match="was not built within"):
        await hurried.python_for("a" * 64, source, lambda text: None)
    assert not [path for path in (tmp_path / "home" / "environments").iterdir() if path.is_dir()]


async def test_a_build_sees_no_secret_of_the_service(
    environments: Environments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_URL", "canary")
    monkeypatch.setenv("PINION_API_TOKEN", "canary")
    assert "canary" not in environments._variables.values()


@asynccontextmanager
async def building(settings: Settings, database: Database) -> AsyncIterator[tuple[Builder, Residency]]:
    async with Outbound(settings.file_allow_cidrs) as client:
        needed = provisions(settings, database, client)
        residency = Residency(settings.home, timedelta(minutes=5), needed, [HostMemory(usual_budget())])
        try:
            yield Builder(database, residency), residency
        finally:
            await residency.stop()


async def test_the_log_of_a_build_is_there_while_it_goes_on(
    settings: Settings, database: Database, rows: Rows, wheels: Path
):
    version_id = await rows.add_version(status=VersionStatus.BUILDING)
    waits = "while not pathlib.Path('go').exists():\n    time.sleep(0.01)\n"
    slow = f"import pathlib, time\nprint('importing', flush=True)\n{waits}"
    source = model(version_folder(settings.home, version_id), wanting(wheels), slow + PREDICTOR)
    async with building(settings, database) as (builder, _):
        job = asyncio.create_task(builder.build(None, version_id, 1))  # type: ignore[arg-type]

        async def log() -> str:
            row = await rows.one(Version, Version.id == version_id)
            assert row.status == VersionStatus.BUILDING or job.done()
            return str(row.logs) if "importing" in row.logs else ""

        assert "localpkg==1.0" in await until(log)
        (source / "go").touch()
        await job
    row = await rows.one(Version, Version.id == version_id)
    assert (row.status, row.error) == (VersionStatus.READY, None)
    assert row.logs.count("importing") == 1


async def test_a_build_that_fails_keeps_its_log_and_says_why(
    settings: Settings, database: Database, rows: Rows, wheels: Path
):
    version_id = await rows.add_version(status=VersionStatus.BUILDING)
    model(version_folder(settings.home, version_id), "{gpu: true, run: [echo one]}", "import a_module_nobody_has\n")
    async with building(settings, database) as (builder, _):
        await builder.build(None, version_id, 1)  # type: ignore[arg-type]
    row = await rows.one(Version, Version.id == version_id)
    assert row.status == VersionStatus.FAILED
    assert "a_module_nobody_has" in row.error
    assert "Traceback" in row.logs
    assert "Not run, since no image is built (run, pre_install): echo one" in row.logs
