"""Connections are kept for the next use, unless they failed, and never more than may be."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.connections import Connections
from shared.database import open_engine
from shared.settings import Settings
from tests.database_fixtures import Backend, until

ONE = text("SELECT 1")


@pytest_asyncio.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(settings)
    yield engine
    await engine.dispose()


async def used(connections: Connections, meanwhile: Awaitable[None] | None = None) -> AsyncConnection:
    async with connections.autocommit() as connection:
        if meanwhile:
            await meanwhile
        assert await connection.scalar(ONE) == 1
    return connection


def taken(engine: AsyncEngine) -> int:
    return engine.sync_engine.pool.checkedout()  # type: ignore[attr-defined]  # of the pool both databases use


async def end_all_connections(settings: Settings) -> None:
    """As a server does that is started again, or told to end what is idle."""
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    other = open_engine(settings)
    async with other.connect() as killer:
        await killer.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    await other.dispose()


async def test_one_after_the_other_use_the_same_connection(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=1)
    assert await used(connections) is await used(connections)
    await connections.close()
    assert taken(engine) == 0


async def test_who_is_cut_short_at_any_moment_takes_none_away(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=0)
    for moment in range(200):
        taking = asyncio.create_task(used(connections))
        await asyncio.wait([taking], timeout=moment / 50_000)  # the driver's threads know no turns of the loop
        taking.cancel()
        await asyncio.wait([taking])
    await connections.close()
    assert taken(engine) == 0


async def test_no_more_than_the_spares_are_kept(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=2)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(connections.autocommit())
        assert taken(engine) == 4
    assert taken(engine) == 2
    await connections.close()


async def test_a_connection_that_failed_is_not_kept(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=1)
    with pytest.raises(DBAPIError):
        async with connections.autocommit() as failed:
            await failed.execute(text("SELECT nothing FROM nowhere"))
    assert taken(engine) == 0
    assert await used(connections) is not failed
    await connections.close()


async def test_a_canceled_use_gives_its_connection_back(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=1)
    inside = asyncio.Event()

    async def wait() -> None:
        async with connections.autocommit():
            inside.set()
            await asyncio.Event().wait()

    waiting = asyncio.create_task(wait())
    await inside.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert taken(engine) == 0


@pytest.fixture
def on_a_server(servers: Backend) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite has no server that could go")


async def in_use(connections: Connections, stack: AsyncExitStack, count: int) -> list[Any]:
    """As many at once, half of either kind, as the driver has them."""
    kinds = [connections.autocommit, connections.transactional] * (count // 2)
    entered = [await stack.enter_async_context(lent()) for lent in kinds]
    return [(await each.get_raw_connection()).driver_connection for each in entered]


@pytest.mark.usefixtures("on_a_server")
async def test_idle_connections_that_the_server_ended_are_lent_to_nobody(
    engine: AsyncEngine, settings: Settings
) -> None:
    connections = Connections(engine, spares=2)
    async with AsyncExitStack() as stack:
        drivers = await in_use(connections, stack, 8)
    await end_all_connections(settings)
    await until(lambda: is_true(all(driver.is_closed() for driver in drivers)))
    async with AsyncExitStack() as stack:
        assert not set(await in_use(connections, stack, 8)) & set(drivers)
        assert taken(engine) == 8
    await used(connections)
    await connections.close()
    assert taken(engine) == 0


@pytest.mark.usefixtures("on_a_server")
async def test_who_is_cut_short_while_a_dead_connection_is_put_away_takes_none_away(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, invalidate, begun = Connections(engine, spares=1), AsyncConnection.invalidate, asyncio.Event()

    async def invalidated(connection: AsyncConnection) -> None:
        begun.set()
        await asyncio.sleep(0)
        await invalidate(connection)

    monkeypatch.setattr(AsyncConnection, "invalidate", invalidated)
    spare = await used(connections)
    (await spare.get_raw_connection()).driver_connection.terminate()
    taking = asyncio.create_task(used(connections))
    await begun.wait()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    await connections.close()
    assert taken(engine) == 0


async def is_true(known: bool) -> bool:
    return known


@pytest.mark.usefixtures("on_a_server")
async def test_a_use_that_finds_its_server_gone_costs_no_other_one_anything(
    engine: AsyncEngine, settings: Settings
) -> None:
    connections = Connections(engine, spares=3)
    async with AsyncExitStack() as stack:
        await in_use(connections, stack, 6)
    with pytest.raises(DBAPIError):
        await used(connections, meanwhile=end_all_connections(settings))
    async with AsyncExitStack() as stack:
        await in_use(connections, stack, 6)
        await used(connections)
    await connections.close()


@pytest.mark.parametrize("spares", [0, 1])
async def test_a_connection_unused_for_long_is_not_trusted(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, spares: int
) -> None:
    connections = Connections(engine, spares)
    monkeypatch.setattr("shared.connections.IDLE_SECONDS", 0.0)
    drivers = set()
    for _ in range(3):
        async with connections.autocommit() as connection:
            drivers.add((await connection.get_raw_connection()).driver_connection)
    assert len(drivers) == 3
    await connections.close()
