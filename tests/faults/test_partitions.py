"""Rows 45 to 47: services that do not reach their servers for longer than a lease, and hosts whose clocks are wrong."""

import pytest

from tests.faults.line import Line
from tests.faults.service import Service
from tests.faults.stack import LEASE_SECONDS
from tests.faults.test_redis import busy, loaded, warm
from tests.faults.trial import Trial

pytestmark = pytest.mark.slow


def lines(services: list[Service], server: str) -> list[Line]:
    return [line for service in services if (line := getattr(service, server))]


@pytest.mark.parametrize("directions", ["both", "requests", "answers"])
@pytest.mark.parametrize("server", ["redis", "database"])
@pytest.mark.parametrize("role", ["apis", "workers"])
async def test_row_45_a_service_cut_off_from_a_server(trial: Trial, role: str, server: str, directions: str) -> None:
    held = lines(getattr(trial.stack, role), server)
    if not held:
        pytest.skip("SQLite is reached without a network")
    before = await warm(trial)
    await busy(trial)
    for line in held:
        line.stall(requests=directions != "answers", answers=directions != "requests")
    trial.begins()
    trial.client.orders_many(2)
    await trial.until(lambda: trial.elapsed > 2 * LEASE_SECONDS)
    for line in held:
        line.heal()
    trial.begins()
    await trial.judged(bound=20.0)
    assert loaded(trial.stack) == before


async def test_row_46_a_worker_cut_off_from_everything_until_others_have_run_its_predictions(trial: Trial) -> None:
    await warm(trial)
    worker = trial.stack.workers[0]
    orders = await trial.started(4, tokens=0, seconds=1.0)
    for line in worker.lines():
        line.stall()
    trial.begins()
    await trial.until(lambda: all(order.final for order in orders), 60.0)
    for line in worker.lines():
        line.heal()
    trial.begins()
    await trial.judged(bound=10.0)
    assert {order.final["status"] for order in orders if order.final} == {"succeeded"}


@pytest.mark.parametrize("skew", ["+1h", "-1h"])
@pytest.mark.parametrize("name", ["predict-1", "api-1", "deliver"])
async def test_row_47_a_host_whose_clock_is_wrong(trial: Trial, name: str, skew: str) -> None:
    service = trial.stack.services[name]
    service.kill()
    with service.skewed(skew):
        service.start()
    trial.begins()
    trial.client.orders_many(6, tokens=4)
    try:
        await trial.judged(bound=20.0)
        assert "clocks of this host and of the database differ" in service.log.read_text()
    finally:
        service.kill()
