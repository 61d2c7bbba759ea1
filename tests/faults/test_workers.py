"""Rows 7 to 14: workers that die, freeze, or are told to stop."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.acceptance.events import all_events, outputs
from tests.faults.history import Order
from tests.faults.stack import DRAIN_SECONDS, LEASE_SECONDS, MODEL, assert_gone
from tests.faults.trial import Trial

LOST_AFTER_OUTPUT = "worker was lost after output"
STOPPED_AFTER_OUTPUT = "worker was stopped after output"
LOST_AND_NEVER_AGAIN = "worker was lost before the prediction had ended, and this model's"


def statuses(orders: list[Order]) -> list[str]:
    return sorted({order.final["status"] for order in orders if order.final})


def failures(orders: list[Order]) -> list[str]:
    return [order.final["error"] for order in orders if order.final and order.final["status"] != "succeeded"]


@asynccontextmanager
async def rerunning(trial: Trial, policy: str) -> AsyncIterator[None]:
    """What is lost inside is run again by that policy."""
    await asyncio.to_thread(trial.stack.command, "model", "rerun", MODEL, policy)
    try:
        yield
    finally:
        await asyncio.to_thread(trial.stack.command, "model", "rerun", MODEL, "before_output")


@pytest.mark.slow
async def test_row_07_a_worker_killed_while_idle(trial: Trial) -> None:
    trial.stack.workers[0].kill()
    trial.begins()
    trial.client.orders_many(3)
    await trial.judged(bound=2.0)


@pytest.mark.slow
async def test_row_08_a_worker_killed_as_it_claims(trial: Trial) -> None:
    orders = await trial.crashed(trial.stack.workers[0], "after_claim")
    await trial.judged(bound=8.0)
    assert statuses(orders) == ["succeeded"]


async def test_row_09_a_worker_killed_after_some_output(trial: Trial) -> None:
    orders = await trial.crashed(trial.stack.workers[0], "after_output", 5, tokens=8)
    await trial.judged(bound=8.0)
    [error] = failures(orders)
    assert LOST_AFTER_OUTPUT in error


@pytest.mark.slow
async def test_row_09_a_worker_killed_after_some_output_of_a_model_that_is_always_run_again(trial: Trial) -> None:
    async with rerunning(trial, "always"):
        orders = await trial.crashed(trial.stack.workers[0], "after_output", 5, tokens=8, seconds=0.2)
        await trial.judged(bound=8.0 + 2.0 * len(orders))
    assert statuses(orders) == ["succeeded"]
    [again] = [order for order in orders if order.was_begun_again]
    assert again.final
    assert {event.id.partition(":")[0] for event in again.heard if event.name == "output"} == {"1"}
    assert 0 < len(again.said.split()) < len("".join(again.final["output"]).split()) == 8
    whole = await asyncio.to_thread(all_events, again.final["urls"]["stream"])
    assert outputs(whole) == again.final["output"]
    assert {event.id.partition(":")[0] for event in whole} == {"2"}
    assert len(trial.receiver.completed(again.final["id"])) == 1


@pytest.mark.slow
async def test_row_09_a_worker_killed_as_it_claims_for_a_model_that_is_never_run_again(trial: Trial) -> None:
    async with rerunning(trial, "never"):
        orders = await trial.crashed(trial.stack.workers[0], "after_claim")
        await trial.judged(bound=8.0)
    [error] = failures(orders)
    assert LOST_AND_NEVER_AGAIN in error


@pytest.mark.parametrize(("point", "ends"), [("before_end", ["failed", "succeeded"]), ("after_end", ["succeeded"])])
async def test_row_10_a_worker_killed_around_the_terminal_commit(trial: Trial, point: str, ends: list[str]) -> None:
    orders = await trial.crashed(trial.stack.workers[0], point)
    await trial.judged(bound=8.0)
    lost = [order for order in orders if order.final and order.final["status"] == "failed"]
    # On a slow machine the worker may have begun one more by then, which is lost if it had output.
    assert set(ends) <= set(statuses(orders)) <= {"failed", "succeeded"}
    assert len(lost) <= len(ends)
    assert all(LOST_AFTER_OUTPUT in order.final["error"] for order in lost if order.final)


@pytest.mark.slow
async def test_row_11_a_worker_told_to_stop_finishes_what_it_can_and_releases_the_rest(trial: Trial) -> None:
    short = trial.client.orders_many(4, tokens=3, seconds=0.2)
    long = await trial.started(4, tokens=0, seconds=2 * DRAIN_SECONDS)
    await trial.until(lambda: all(order.final for order in short))
    worker = trial.stack.workers[0]
    models = worker.models()
    worker.signal(signal.SIGTERM)
    trial.begins()
    await trial.crowded(lambda: not worker.is_up, DRAIN_SECONDS + 3.0)
    assert worker.ended(0) == 0
    assert_gone(models)
    await trial.judged(bound=len(long) * 2 * DRAIN_SECONDS + 4.0)
    assert statuses(trial.client.orders) == ["succeeded"]


async def stopped_at_once(trial: Trial) -> None:
    """The workers, by a second word once each has heard the first."""
    for worker in trial.stack.workers:
        worker.signal(signal.SIGTERM)
        await trial.until(lambda worker=worker: worker.has_taken(signal.SIGTERM))
        worker.signal(signal.SIGTERM)
    trial.begins()
    await trial.crowded(lambda: not any(worker.is_up for worker in trial.stack.workers), 2.0)


@pytest.mark.slow
async def test_row_12_a_worker_told_to_stop_twice(trial: Trial) -> None:
    order = await trial.running(tokens=200, seconds=0.1)
    await stopped_at_once(trial)
    trial.stack.heal()
    await trial.judged(bound=8.0)
    assert order.final
    assert STOPPED_AFTER_OUTPUT in order.final["error"]


@pytest.mark.slow
async def test_row_12_a_worker_told_to_stop_twice_with_a_model_that_is_always_run_again(trial: Trial) -> None:
    async with rerunning(trial, "always"):
        order = await trial.running(tokens=40, seconds=0.1)
        await stopped_at_once(trial)
        trial.stack.heal()
        await trial.judged(bound=12.0)
    assert order.was_begun_again
    assert statuses([order]) == ["succeeded"]


@pytest.mark.slow
async def test_row_13_a_worker_frozen_for_longer_than_its_lease(trial: Trial) -> None:
    worker = trial.stack.workers[0]
    orders = await trial.ordering(worker.models, tokens=0, seconds=1.0)
    orders += await trial.started(4, tokens=0, seconds=1.0)  # the model may have been up from the start
    worker.signal(signal.SIGSTOP)
    trial.begins()
    await trial.crowded(lambda: all(order.final for order in orders), 2 * LEASE_SECONDS + len(orders))
    worker.signal(signal.SIGCONT)
    await trial.judged(bound=2 * LEASE_SECONDS + len(orders) + 2.0)
    assert statuses(orders) == ["succeeded"]


@pytest.mark.slow
async def test_row_14_a_worker_that_stalls_for_less_than_its_lease(trial: Trial) -> None:
    orders = trial.client.orders_many(4, tokens=5, seconds=0.1)
    await trial.until(lambda: any(order.heard for order in orders))
    before = {worker.name: worker.models() for worker in trial.stack.workers}
    for worker in trial.stack.workers:
        worker.signal(signal.SIGSTOP)
    trial.begins()
    await trial.until(lambda: trial.elapsed > 0.6 * LEASE_SECONDS)
    for worker in trial.stack.workers:
        worker.signal(signal.SIGCONT)
    await trial.judged(bound=0.6 * LEASE_SECONDS + 4.0)
    assert statuses(orders) == ["succeeded"]
    assert {worker.name: worker.models() for worker in trial.stack.workers} == before
