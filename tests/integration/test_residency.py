"""Several models on one host: kept while there is room, ended least recently used first, and back when needed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Row

from shared.contract import Status
from shared.database import Database
from shared.live import Feed
from shared.settings import Settings
from tests.database_fixtures import Rows, until
from tests.host import Host, hosting, installed
from worker import memory

MODEL_BYTES = 100_000_000
pytestmark = pytest.mark.skipif(
    not memory.HostMemory(0).read([os.getpgrp()]).taken_bytes, reason="this system does not tell memory"
)


@pytest_asyncio.fixture
async def host(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[Host]:
    """With room for two of the models here."""
    async with hosting(settings, database, feed, memory.HostMemory(int(2.6 * MODEL_BYTES))) as host:
        yield host


async def run(host: Host, rows: Rows, version_id: str, **input: Any) -> Row[Any]:
    row = await host.run(rows, version_id, input=input)
    assert (row.status, row.output) == (Status.SUCCEEDED, MODEL_BYTES), row.error
    return row


def up(host: Host, versions: list[str]) -> list[bool]:
    return [host.residency.resident(version_id).group is not None for version_id in versions]


async def test_the_model_used_least_recently_gives_way_and_comes_back(
    settings: Settings, rows: Rows, host: Host
) -> None:
    models = [await installed(settings, rows, "fills_memory") for _ in range(3)]
    await run(host, rows, models[0])
    await run(host, rows, models[1])
    await run(host, rows, models[0])
    await host.residency.make_room({})
    assert up(host, models) == [True, True, False]
    await run(host, rows, models[2])
    await host.residency.make_room({})
    assert up(host, models) == [True, False, True]
    await run(host, rows, models[1])  # what it took is known by now, so that room is made before it starts
    assert up(host, models) == [False, True, True]


async def test_a_model_that_is_in_use_stays_whatever_it_takes(settings: Settings, rows: Rows, host: Host) -> None:
    busy, other, third = [await installed(settings, rows, "fills_memory") for _ in range(3)]
    running = asyncio.create_task(run(host, rows, busy, seconds=60))
    await until(lambda: host.residency.resident(busy).group)
    await until(lambda: host.residency.resident(busy).is_in_use)
    await run(host, rows, other)
    await run(host, rows, third)
    await host.residency.make_room({})
    assert up(host, [busy, other, third]) == [True, False, True]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_with_room_for_none_each_runs_all_the_same(
    settings: Settings, database: Database, feed: Feed, rows: Rows
) -> None:
    async with hosting(settings, database, feed, memory.HostMemory(1)) as host:
        models = [await installed(settings, rows, "fills_memory") for _ in range(2)]
        for version_id in (*models, *models):
            await run(host, rows, version_id)
        await host.residency.make_room({})
        assert up(host, models) == [False, False]


def test_what_a_machine_has_is_more_than_what_its_models_may_take() -> None:
    assert 0 < memory.usual_budget() < 2**62
