"""Rows 15 to 23: models that die, hang, flood and leave things behind; the next prediction runs all the same."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.history import Order
from tests.faults.stack import assert_gone
from tests.faults.trial import Trial
from tests.instance import PREDICTORS

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def fresh(trial: Trial) -> AsyncIterator[Trial]:
    """Workers that remember no failure of the model, which may be ended here."""
    trial.spares_models = False
    yield trial
    for worker in trial.stack.workers:
        worker.kill()


async def failed(trial: Trial, bound: float, **input: object) -> str:
    """Why it failed; what comes after it succeeds."""
    [order] = await trial.started(1, **input)
    trial.begins()
    await trial.crowded(lambda: order.final, bound)
    after = trial.client.order()
    await trial.judged(bound + 5.0)
    assert after.final
    assert after.final["status"] == "succeeded"
    return why(order)


def why(order: Order) -> str:
    assert order.final
    assert order.final["status"] == "failed"
    return str(order.final["error"])


async def test_row_15_a_model_without_memory(fresh: Trial) -> None:
    assert "memory" in (await failed(fresh, 5.0, does="oom")).lower()


@pytest.mark.parametrize(
    ("does", "says"), [("segv", "signal 11"), ("abort", "signal 6"), ("kill", "signal 9"), ("exit", "3")]
)
async def test_row_16_a_model_process_that_dies(fresh: Trial, does: str, says: str) -> None:
    assert says in await failed(fresh, 3.0, does=does)


async def test_row_17_a_model_that_never_gives_way_is_ended_by_a_cancel(fresh: Trial) -> None:
    order = await fresh.running(tokens=3, does="spin", after=2)
    await fresh.client.cancel(order)
    fresh.begins()
    fresh.client.order()
    await fresh.judged(bound=5.0)
    assert order.final
    assert order.final["status"] == "canceled"


async def test_row_18_a_model_that_ignores_its_cancel(fresh: Trial) -> None:
    order = await fresh.running(tokens=3, does="ignore", after=2)
    await fresh.client.cancel(order)
    fresh.begins()
    fresh.client.order()
    await fresh.judged(bound=5.0)
    assert order.final
    assert order.final["status"] == "canceled"


async def test_row_22_a_model_that_cannot_be_set_up(fresh: Trial, tmp_path: Path) -> None:
    folder = await asyncio.to_thread(shutil.copytree, PREDICTORS / "acts_as_told", tmp_path / "acts")
    with (folder / "predict.py").open("a") as program:
        program.write("\n    def setup(self):\n        raise OSError('the weights are corrupt')\n")
    usual, fresh.client.version = fresh.client.version, await asyncio.to_thread(fresh.stack.push, folder)
    broken = await fresh.started(6)
    fresh.client.version = usual
    fresh.begins()
    well = await fresh.started(2)
    await fresh.judged(bound=10.0)
    assert all("the weights are corrupt" in why(order) for order in broken)
    assert {order.final["status"] for order in well if order.final} == {"succeeded"}


@pytest.mark.parametrize("does", ["raise", "unprintable", "gpu"])
async def test_row_19_and_23_a_model_that_raises(fresh: Trial, does: str) -> None:
    reason = await failed(fresh, 3.0, does=does)
    assert 0 < len(reason) < 10_000


async def test_row_20_a_model_that_floods_its_output(fresh: Trial) -> None:
    order = fresh.client.order(does="flood")
    fresh.begins()
    await fresh.judged(bound=6.0)
    assert order.final
    assert order.final["status"] == "succeeded"
    assert len(order.final["logs"]) < 3_000_000


@pytest.mark.parametrize("does", ["thread", "fork"])
async def test_row_21_what_a_model_leaves_behind_goes_with_its_worker(fresh: Trial, does: str) -> None:
    await fresh.running(does=does)
    started = [child for worker in fresh.stack.workers for child in worker.handle.children(recursive=True)]
    fresh.begins()
    await fresh.judged(bound=5.0)
    for worker in fresh.stack.workers:
        worker.kill()
    assert_gone(started)
