"""Models that fail again and again: left alone for longer and longer, refused meanwhile, and well after one success."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from shared.contract import Residence, Status
from shared.database import Database, clock
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Worker
from tests.database_fixtures import Rows, until
from tests.host import Host, installed
from worker.failures import UNHEALTHY_AFTER, Failures
from worker.resident import Resident


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits a hundredth as long before it counts as unhealthy."""
    monkeypatch.setattr("worker.failures._GROWTH", 1.01)
    monkeypatch.setattr("worker.failures.random.uniform", lambda low, high: 0.01)


class Ill:
    """A version that can be made to die in setup, and predictions for it."""

    def __init__(self, settings: Settings, rows: Rows, host: Host, version_id: str) -> None:
        self.mark: Path = version_folder(settings.home, version_id) / "ill"
        self._rows, self._host, self._version_id = rows, host, version_id

    @property
    def resident(self) -> Resident:
        return self._host.residency.resident(self._version_id)

    def report(self) -> dict[str, Any]:
        return self.resident.report() or {}

    async def run(self, **input: Any) -> Any:
        async with asyncio.timeout(60):
            return await self._host.run(self._rows, self._version_id, input=input)


@pytest.fixture
async def ill(settings: Settings, rows: Rows, host: Host) -> Ill:
    return Ill(settings, rows, host, await installed(settings, rows, "falls_ill"))


def leave_alone(failures: Failures, seconds: float) -> None:
    """As if the last failure had been followed by so long a wait."""
    failures._until += seconds


async def test_a_model_that_dies_in_setup_again_and_again_is_refused_with_its_reason_and_log(ill: Ill) -> None:
    ill.mark.touch()
    for count in range(1, UNHEALTHY_AFTER + 1):
        failed = await ill.run()
        assert failed.error.startswith("The model could not be set up: The model process exited with code 9")
        await until(lambda count=count: ill.resident.failures.count == count)
    leave_alone(ill.resident.failures, 3600)
    refused = await ill.run()
    assert refused.status == Status.FAILED
    assert "unhealthy: it failed 3 times in a row" in refused.error
    assert "exited with code 9 during setup" in refused.error
    assert refused.logs == "looking for the weights\n"
    told = ill.report()
    assert (told["state"], told["failures"], told["pid"]) == (Residence.UNHEALTHY, 3, None)
    assert told["logs"] == "looking for the weights\n"
    assert told["retry_at"]


async def test_a_model_that_dies_between_claim_and_start_and_does_not_come_back_shows_its_log_too(
    ill: Ill, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ill.run()
    claim = host.ledger.claim

    async def claim_and_die(prediction_id: str, delivery: int) -> Any:
        row = await claim(prediction_id, delivery)
        ill.mark.touch()
        assert ill.resident.group
        os.killpg(ill.resident.group, signal.SIGKILL)
        await until(lambda: not ill.resident.is_up)
        return row

    monkeypatch.setattr(host.ledger, "claim", claim_and_die)
    failed = await ill.run()
    assert failed.error.startswith("The model could not be set up: The model process exited with code 9")
    assert failed.logs == "looking for the weights\n"
    assert failed.attempt == 1


async def test_when_the_wait_is_over_the_next_prediction_tries_it_and_one_success_makes_it_well(ill: Ill) -> None:
    ill.mark.touch()
    for _ in range(UNHEALTHY_AFTER):
        await ill.run()
    await until(lambda: ill.resident.failures.is_unhealthy)
    ill.mark.unlink()
    leave_alone(ill.resident.failures, -3600)
    assert (await ill.run()).output == "well"
    told = ill.report()
    assert (told["state"], told["failures"], told["error"]) == (Residence.WARM, 0, None)


async def test_a_model_that_dies_while_predicting_becomes_unhealthy_although_its_setup_succeeds(ill: Ill) -> None:
    for count in range(1, UNHEALTHY_AFTER + 1):
        died = await ill.run(dies=True)
        assert "exited with code 3" in died.error
        await until(lambda count=count: ill.resident.failures.count == count)
    assert ill.resident.failures.is_unhealthy
    assert ill.resident.failures.last
    assert ill.resident.failures.last.message == "The model process exited with code 3"


async def test_after_a_death_it_is_started_again_without_being_asked(ill: Ill) -> None:
    await ill.run()
    first = ill.report()["pid"]
    await ill.run(dies=True)
    await until(lambda: ill.report().get("pid") not in (None, first))
    await until(lambda: ill.report()["state"] == Residence.WARM)
    assert ill.report()["failures"] == 1


async def test_predictions_are_left_to_another_host_where_the_model_is_well(
    rows: Rows, host: Host, database: Database, ill: Ill
) -> None:
    ill.mark.touch()
    for count in range(1, UNHEALTHY_AFTER + 1):
        await ill.run()
        await until(lambda count=count: ill.resident.failures.count == count)
    leave_alone(ill.resident.failures, 3600)
    report = {"versions": [{"version": ill.resident.version_id, "state": "warm"}]}
    row = {"id": "elsewhere", "host": "far", "is_lost": False, "report": report, "last_seen": clock()}
    async with database.transaction() as transaction:
        await transaction.execute(insert(Worker).values(**row, created_at=clock()))
    left = await ill.run()
    assert (left.status, left.delivery, left.attempt) == (Status.STARTING, 2, 0)
    assert host.queue
    assert host.queue.max_jobs == 0  # so that this one does not take it again
    await rows.change(Worker, Worker.id == "elsewhere", is_lost=True)
    assert (await ill.run()).status == Status.FAILED


async def test_what_we_end_ourselves_is_no_failure_of_the_model(ill: Ill) -> None:
    await ill.run()
    await ill.resident.unload()
    assert (ill.report(), ill.resident.state) == ({}, Residence.COLD)
    assert (await ill.run()).output == "well"


async def test_a_prediction_that_could_only_be_canceled_by_force_does_not_count_against_its_model(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "ignores_cancel")
    resident = host.residency.resident(version_id)
    row = await rows.waiting(version_id=version_id, input={})
    running = asyncio.create_task(host.predict(version_id, row.id))
    await until(lambda: (resident.report() or {}).get("running") == 1)
    pid = resident.group
    assert resident.state == Residence.BUSY

    async def is_deaf() -> bool:  # before that, the process gives a prediction back that it has not begun
        return "deaf" in (await rows.prediction(row.id)).logs

    await until(is_deaf)
    resident.cancel(row.id)
    await running
    await until(lambda: resident.group not in (None, pid))
    assert resident.failures.count == 0
