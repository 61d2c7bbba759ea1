"""Models whose own healthcheck() finds fault: told so with the reason, kept, run all the same, and well again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.contract import Residence
from shared.deployments import Bounds
from shared.settings import Settings
from shared.tasks import end
from tests.database_fixtures import Rows, until
from tests.host import Host, installed
from tests.model_processes import Heard
from worker.resident import Resident

SAID_NO = "Healthcheck failed: user-defined healthcheck returned False"


@pytest.fixture
async def resident(
    settings: Settings, rows: Rows, host: Host, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Resident]:
    monkeypatch.setattr("worker.residency._LOOK_SECONDS", 0.01)
    asking = asyncio.create_task(host.residency.ask_health())
    yield host.residency.resident(await installed(settings, rows, "is_well_if_told"))
    await end(asking)


def told(resident: Resident) -> Any:
    report = resident.report() or {}
    return report.get("state"), report.get("error")


async def test_a_model_that_is_not_well_is_told_so_kept_run_and_well_again(
    rows: Rows, host: Host, resident: Resident
) -> None:
    assert (await host.run(rows, resident.version_id, input={"answer": "yes"})).output == "yes"
    process = await resident.ready()
    await host.run(rows, resident.version_id, input={"answer": "no"})
    await until(lambda: told(resident) == (Residence.UNHEALTHY, SAID_NO))
    assert (await host.run(rows, resident.version_id, input={"answer": "out of \0 memory"})).status == "succeeded"
    await until(lambda: told(resident)[1] == "Healthcheck failed: out of \N{REPLACEMENT CHARACTER} memory")
    await host.run(rows, resident.version_id, input={"answer": "yes"})
    await until(lambda: told(resident) == (Residence.WARM, None))
    assert await resident.ready() is process
    assert resident.failures.count == 0


async def test_while_it_predicts_it_is_asked_too(resident: Resident) -> None:
    process = await resident.ready()
    await process.predict("p1", {"answer": "no"}, Heard().take)
    running = asyncio.create_task(process.predict("p2", {"answer": "no", "seconds": 60}, Heard().take))
    await until(lambda: told(resident) == (Residence.UNHEALTHY, SAID_NO))
    assert process.cancel("p2")
    await running


async def test_a_process_that_is_not_well_is_passed_over_where_another_has_a_seat(resident: Resident) -> None:
    resident.honour(Bounds(2, 2))
    await until(lambda: all(instance.is_set_up for instance in resident.instances))
    first = await resident.ready()
    await first.predict("p1", {"answer": "no"}, Heard().take)
    await until(lambda: any(instance.complaint for instance in resident.instances))
    async with resident.seat() as well:
        assert well is not first
        async with resident.seat() as only_one_left:
            assert only_one_left is first
    assert told(resident) == (Residence.WARM, None)


async def test_a_new_process_knows_nothing_of_what_ailed_the_last(resident: Resident) -> None:
    await (await resident.ready()).predict("p1", {"answer": "no"}, Heard().take)
    await until(lambda: told(resident)[0] == Residence.UNHEALTHY)
    await resident.unload()
    assert resident.report() is None
    await resident.ready()
    assert told(resident) == (Residence.WARM, None)
