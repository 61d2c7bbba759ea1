"""Rows 48 to 50: entries, cancels, senders and reconcilers that come more than once."""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.queue import PredictJob
from tests.faults.trial import Trial
from tests.receiver import TERMINAL

_RACES = 40


@pytest.fixture
def diary() -> Iterator[Path]:
    """A folder in which each run of a prediction leaves a note."""
    with tempfile.TemporaryDirectory(prefix="pinion-diary-", dir="/tmp") as folder:
        yield Path(folder)


def runs(diary: Path) -> list[str]:
    """The names of predictions, as often as they were run."""
    return sorted(note.name.partition(".")[0] for note in diary.iterdir())


@pytest.mark.slow
async def test_row_48_entries_that_come_thrice_and_again_after_the_end(trial: Trial, diary: Path) -> None:
    orders = await trial.started(3, diary=str(diary), seconds=0.1)
    jobs = [PredictJob(order.id or "", 1, trial.stack.version) for order in orders]
    trial.begins()
    for _ in range(3):
        await trial.database.send(list(jobs))
    await trial.until(lambda: all(order.final for order in orders))
    await trial.database.send(list(jobs))
    later = await trial.started(3)
    await trial.until(lambda: all(order.final for order in later))
    await trial.judged(bound=10.0)
    assert runs(diary) == sorted(order.name for order in orders)


async def test_row_49_cancels_at_any_moment_and_several_at_once(trial: Trial) -> None:
    orders = trial.client.orders_many(_RACES, tokens=8, seconds=0.05)
    trial.begins()
    for order in orders:
        await trial.until(lambda order=order: order.id)
        if orders.index(order) % 2:
            await trial.until(lambda order=order: order.heard or order.final)
        await asyncio.gather(*(trial.client.cancel(order) for _ in range(3)))
    await trial.judged(bound=30.0)
    for order in orders:
        assert order.final
        ended = [answer.body["status"] for answer in order.cancels if answer.status == 200]
        assert set(ended) - {"starting", "processing"} <= {order.final["status"]}
        assert order.final["status"] in TERMINAL
    assert any(order.final and order.final["status"] == "canceled" for order in orders)


@pytest.mark.slow
async def test_row_50_two_senders_and_reconcilers(trial: Trial) -> None:
    second = replace(trial.stack.sender, name="deliver-2", process=None)
    second.start()
    try:
        trial.begins()
        orders = await trial.ordering(lambda: trial.elapsed > 1.0, every_seconds=0.1)
        with trial.stack.valkey.client() as redis:
            redis.flushall()
        trial.begins()
        await trial.judged(bound=10.0)
    finally:
        second.kill()
    told = [delivery.headers["webhook-id"] for delivery in trial.receiver.deliveries]
    assert len(told) == len(set(told)) > len(orders)
