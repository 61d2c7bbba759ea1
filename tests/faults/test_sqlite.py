"""Row 36: everything on SQLite, whose writers die in the middle and find it locked."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import pytest_asyncio

from tests.faults.stack import Stack, running
from tests.faults.trial import Trial, trying
from tests.receiver import Receiver

pytestmark = pytest.mark.slow

_KILLS = 8
_LOCKED_SECONDS = 4.0


@pytest.fixture(scope="module")
def embedded() -> Iterator[Stack]:
    with running(is_embedded=True) as started:
        yield started


@pytest_asyncio.fixture
async def trial(embedded: Stack, receiver: Receiver) -> AsyncIterator[Trial]:
    async with trying(embedded, receiver) as trial:
        yield trial


def connected(trial: Trial) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(trial.stack.home / "pinion.db", isolation_level=None, check_same_thread=False))


async def test_row_36_writers_of_sqlite_killed_at_any_moment(trial: Trial) -> None:
    dice = random.Random(36)
    for _ in range(_KILLS):
        trial.client.orders_many(2, tokens=3)
        await asyncio.sleep(dice.uniform(0.05, 0.5))
        dice.choice(list(trial.stack.services.values())).kill()
        await asyncio.to_thread(trial.stack.heal)
    trial.begins()
    await trial.judged(bound=15.0)
    with connected(trial) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_row_36_sqlite_locked_by_somebody_else(trial: Trial) -> None:
    await trial.running(tokens=10, seconds=0.1)
    with connected(trial) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        trial.begins()
        trial.client.orders_many(3)
        await trial.until(lambda: trial.elapsed > _LOCKED_SECONDS)
        other.execute("ROLLBACK")
    trial.begins()
    await trial.judged(bound=15.0)
    assert all(order.final and order.final["status"] == "succeeded" for order in trial.client.orders)
