"""Processes that deployments ask for: kept up, restarted, spared, bounded and stopped, on a host with its queue."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from arq.constants import in_progress_key_prefix

from shared import deployments
from shared.contract import TERMINAL, Residence, Status
from shared.database import Database
from shared.live import Feed
from shared.queue import predict_queue
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Account
from shared.tasks import end
from tests.database_fixtures import Rows, redis_at, until
from tests.host import Host, hosting, installed
from worker.app import BellWorker
from worker.instance import Instance
from worker.memory import HostMemory
from worker.pins import Pins
from worker.predict import Predictor

WAITS = """
import pathlib, time

class Predictor:
    def setup(self):
        while not pathlib.Path("go").exists():
            time.sleep(0.01)

    def predict(self) -> str:
        return "well"
"""

SECOND_WAITS = """
import pathlib, time

def wait():
    while not pathlib.Path("go").exists():
        time.sleep(0.01)

class Predictor:
    def setup(self):
        if pathlib.Path("busy").exists():
            pathlib.Path("setting up").touch()
            wait()

    def predict(self) -> str:
        pathlib.Path("busy").touch()
        wait()
        return "well"
"""


@pytest.fixture(autouse=True)
def told_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks without having heard, and a model that fails is tried again soon."""
    monkeypatch.setattr("worker.pins._LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("worker.failures._GROWTH", 1.01)
    monkeypatch.setattr("worker.failures.random.uniform", lambda low, high: 0.01)


@asynccontextmanager
async def honouring(host: Host, feed: Feed) -> AsyncIterator[None]:
    """While inside the host looks after deployments; it has looked once."""
    looked = asyncio.Event()
    honour = host.residency.honour
    host.residency.honour = lambda bounds: (honour(bounds), looked.set())[0]  # type: ignore[method-assign]
    pins = asyncio.create_task(Pins(host.database, feed, host.residency).run())
    try:
        await looked.wait()
        yield
    finally:
        await end(pins)


@pytest_asyncio.fixture
async def honest(host: Host, feed: Feed) -> AsyncIterator[Host]:
    """A host that is known as alive and looks after deployments."""
    host.presence.id = ""
    async with host.presence.announced(), honouring(host, feed):
        yield host


@asynccontextmanager
async def taking(host: Host, version_id: str) -> AsyncIterator[None]:
    """While inside jobs of this version are taken from its queue."""
    predictor = Predictor(host.settings, host.database, host.ledger, host.files, host.residency.resident(version_id))
    async with redis_at(host.settings.redis_url, connections=2, is_listening=True) as bells:
        queue = BellWorker(host.database.redis, bells, predict_queue(version_id), "predict", predictor.predict, 1)
        async with queue.running():
            yield
        await queue.drained()


def up(host: Host, version_id: str) -> list[Instance]:
    return [each for each in host.residency.resident(version_id).instances if each.is_up]


async def change(rows: Rows, name: str, **changes: int | str) -> None:
    account = await rows.one(Account, Account.id == rows.account_id)
    found = await deployments.find(rows.database, rows.account_id, "pinion", name)
    assert found is not None
    await deployments.change(rows.database, account, found, changes)


async def test_a_version_with_a_minimum_is_loaded_at_once_without_being_asked(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    await rows.deployed("pinned", version_id=version_id, min_instances=2, max_instances=3)
    resident = honest.residency.resident(version_id)
    await until(lambda: [each.is_set_up for each in up(honest, version_id)] == [True, True])
    told = resident.report() or {}
    assert (told["state"], told["instances"]) == (Residence.WARM, 2)
    assert (told["min_instances"], told["max_instances"]) == (2, 3)


async def test_deployments_that_were_made_before_are_found_at_the_start(
    settings: Settings, rows: Rows, host: Host, feed: Feed
) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    await rows.deployed("one", version_id=version_id, min_instances=1)
    await rows.deployed("two", version_id=version_id, max_instances=2)
    await rows.deployed("elsewhere", version_id=version_id, hardware="gpu-t4", min_instances=5, max_instances=5)
    await rows.deployed("stopped", version_id=version_id, max_instances=0)
    async with honouring(host, feed):
        await until(lambda: up(host, version_id))
        told = host.residency.resident(version_id).report() or {}
        assert (told["min_instances"], told["max_instances"]) == (1, 3)


async def test_a_pinned_process_that_is_killed_comes_back(settings: Settings, rows: Rows, honest: Host) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    await rows.deployed("pinned", version_id=version_id, min_instances=1)
    resident = honest.residency.resident(version_id)
    for _ in range(2):
        await until(lambda: resident.state == Residence.WARM)
        killed = resident.group
        assert killed
        os.killpg(killed, signal.SIGKILL)
        await until(lambda killed=killed: resident.group not in (None, killed))


async def test_a_pinned_model_that_does_not_start_is_tried_until_it_does(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    mark = version_folder(settings.home, version_id) / "ill"
    mark.touch()
    await rows.deployed("pinned", version_id=version_id, min_instances=1)
    resident = honest.residency.resident(version_id)
    await until(lambda: resident.failures.count >= 4)
    assert resident.failures.is_unhealthy
    mark.unlink()
    await until(lambda: resident.state == Residence.WARM)


async def test_a_pinned_process_is_not_ended_for_memory_and_others_are(
    settings: Settings, database: Database, feed: Feed, rows: Rows
) -> None:
    async with hosting(settings, database, feed, HostMemory(1)) as host, honouring(host, feed):
        pinned, other = [await installed(settings, rows, "falls_ill") for _ in range(2)]
        await rows.deployed("pinned", version_id=pinned, min_instances=1, max_instances=1)
        await until(lambda: [each.is_idle for each in up(host, pinned)] == [True])
        assert (await host.run(rows, other, input={})).status == Status.SUCCEEDED
        await host.residency.make_room({})
        assert (len(up(host, pinned)), len(up(host, other))) == (1, 0)
        await change(rows, "pinned", min_instances=0)
        await until(lambda: not host.residency.resident(pinned).instances[0].is_pinned)
        await host.residency.make_room({})
        assert up(host, pinned) == []


async def test_where_work_waits_processes_are_added_up_to_the_maximum_and_no_further(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    await rows.deployed("wide", version_id=version_id, max_instances=2)
    resident = honest.residency.resident(version_id)
    await until(lambda: resident.may_grow)
    async with taking(honest, version_id):
        first = await rows.waiting(version_id=version_id, input={"to": 1000})
        await until(lambda: resident.is_in_use)
        assert len(up(honest, version_id)) == 1
        others = [await rows.waiting(version_id=version_id, input={"to": 1000}) for _ in range(2)]
        await until(lambda: [each.in_use for each in up(honest, version_id)] == [1, 1])
        statuses = [(await rows.prediction(row.id)).status for row in (first, *others)]
        assert sorted(statuses) == [Status.PROCESSING, Status.PROCESSING, Status.STARTING]
        resident.cancel(first.id)
        await until(lambda: _all_begun(rows, [row.id for row in others]))
        for row in others:
            resident.cancel(row.id)
        assert len(resident.instances) == 2


async def _all_begun(rows: Rows, ids: list[str]) -> bool:
    return all([(await rows.prediction(each)).status == Status.PROCESSING for each in ids])


async def test_what_waits_for_a_process_that_is_being_added_is_starting_until_it_is_ready(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await rows.add_version()
    folder = version_folder(settings.home, version_id)
    folder.mkdir(parents=True)
    (folder / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    (folder / "predict.py").write_text(SECOND_WAITS)
    await rows.deployed("wide", version_id=version_id, max_instances=2)
    resident = honest.residency.resident(version_id)
    await until(lambda: resident.may_grow)
    async with taking(honest, version_id):
        await rows.waiting(version_id=version_id, input={})
        await until(lambda: (folder / "busy").exists())
        second = await rows.waiting(version_id=version_id, input={})
        await until(lambda: (folder / "setting up").exists())
        before = datetime.now(UTC) - timedelta(milliseconds=1)  # SQLite keeps no more
        (folder / "go").touch()
        await until(lambda: _has_succeeded(rows, second.id))
        begun = (await rows.prediction(second.id)).started_at
        assert begun >= before


async def test_a_process_for_which_there_is_no_memory_is_not_added(
    settings: Settings, database: Database, feed: Feed, rows: Rows
) -> None:
    async with hosting(settings, database, feed, HostMemory(180_000_000)) as host, honouring(host, feed):
        version_id = await installed(settings, rows, "fills_memory")
        await rows.deployed("wide", version_id=version_id, max_instances=2)
        resident = host.residency.resident(version_id)
        await until(lambda: resident.may_grow)
        await host.run(rows, version_id, input={})
        assert await host.residency.make_room({})
        async with taking(host, version_id):
            made = [await rows.waiting(version_id=version_id, input={"seconds": 0.3}) for _ in range(3)]
            await until(lambda: resident._growth is not None)
            await until(lambda: _all_ended(rows, [row.id for row in made]))
        assert len(up(host, version_id)) == 1


async def test_one_after_the_other_needs_no_second_process(settings: Settings, rows: Rows, honest: Host) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    await rows.deployed("wide", version_id=version_id, max_instances=5)
    await until(lambda: honest.residency.resident(version_id).may_grow)
    async with taking(honest, version_id):
        for _ in range(10):
            row = await rows.waiting(version_id=version_id, input={})
            await until(lambda row=row: _has_succeeded(rows, row.id))
        assert len(up(honest, version_id)) == 1


async def _has_succeeded(rows: Rows, prediction_id: str) -> bool:
    return bool((await rows.prediction(prediction_id)).status == Status.SUCCEEDED)


async def test_a_lower_maximum_ends_what_is_idle_and_lets_what_is_busy_finish(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    await rows.deployed("wide", version_id=version_id, min_instances=3, max_instances=3)
    resident = honest.residency.resident(version_id)
    await until(lambda: [each.is_idle for each in up(honest, version_id)] == [True] * 3)
    async with resident.seat(), resident.seat():
        await change(rows, "wide", min_instances=1, max_instances=1)
        await until(lambda: len(up(honest, version_id)) == 2)
    await until(lambda: len(resident.instances) == 1)
    assert resident.state == Residence.WARM


async def test_stopping_a_deployment_cancels_its_predictions_and_ends_its_process(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    await rows.deployed("brief", version_id=version_id, min_instances=1)
    resident = honest.residency.resident(version_id)
    await until(lambda: resident.state == Residence.WARM)
    async with taking(honest, version_id):
        running = await rows.waiting(version_id=version_id, input={"to": 1000}, deployment="pinion/brief")
        await until(lambda: resident.is_in_use)
        await change(rows, "brief", min_instances=0, max_instances=0)
        await until(lambda: _is_canceled(rows, running.id))
        await until(lambda: resident.report() is None)
        direct = await rows.waiting(version_id=version_id, input={"to": 1})
        await until(lambda: _has_succeeded(rows, direct.id))


async def _is_canceled(rows: Rows, prediction_id: str) -> bool:
    return bool((await rows.prediction(prediction_id)).status == Status.CANCELED)


async def test_what_waits_for_a_process_that_is_starting_is_run_although_its_deployment_is_stopped(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await rows.add_version()
    folder = version_folder(settings.home, version_id)
    folder.mkdir(parents=True)
    (folder / "cog.yaml").write_text("predict: predict.py:Predictor\n")
    (folder / "predict.py").write_text(WAITS)
    await rows.deployed("brief", version_id=version_id, min_instances=1)
    resident = honest.residency.resident(version_id)
    async with taking(honest, version_id):
        await until(lambda: resident.state == Residence.STARTING and resident.is_up)
        direct = await rows.waiting(version_id=version_id, input={})
        await until(lambda: honest.database.redis.exists(in_progress_key_prefix + f"{direct.id}:1"))
        await change(rows, "brief", min_instances=0, max_instances=0)
        await until(lambda: len(resident.instances) == 2)
        (folder / "go").touch()
        await until(lambda: _has_succeeded(rows, direct.id))
        await until(lambda: len(resident.instances) == 1)


async def test_with_several_processes_that_die_each_prediction_ends_as_its_own_did(
    settings: Settings, rows: Rows, honest: Host
) -> None:
    version_id = await installed(settings, rows, "falls_ill")
    await rows.deployed("wide", version_id=version_id, min_instances=1, max_instances=3)
    resident = honest.residency.resident(version_id)
    await until(lambda: resident.may_grow)
    async with taking(honest, version_id):
        made = {}
        for number in range(24):
            dies = number % 4 == 3
            made[(await rows.waiting(version_id=version_id, input={"dies": dies})).id] = dies
            if dies:  # one success in between, else it becomes unhealthy and refuses
                await until(lambda: _all_ended(rows, list(made)), seconds=30)
        for prediction_id, dies in made.items():
            row = await rows.prediction(prediction_id)
            assert row.status == (Status.FAILED if dies else Status.SUCCEEDED), row.error
        assert len(resident.instances) == 3
        await until(lambda: up(honest, version_id))


async def _all_ended(rows: Rows, ids: list[str]) -> bool:
    return all([(await rows.prediction(each)).status in TERMINAL for each in ids])
