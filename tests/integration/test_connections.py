"""Connections are kept for the next use, unless they failed, and never more than may be."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.connections import Connections
from shared.database import open_engine
from shared.settings import Settings
from tests.database_fixtures import Backend

ONE = text("SELECT 1")


@pytest_asyncio.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(settings)
    yield engine
    await engine.dispose()


async def used(connections: Connections) -> AsyncConnection:
    async with connections.autocommit() as connection:
        assert await connection.scalar(ONE) == 1
    return connection


def taken(engine: AsyncEngine) -> int:
    return engine.sync_engine.pool.checkedout()  # type: ignore[attr-defined]  # of the pool both databases use


async def test_one_after_the_other_use_the_same_connection(engine: AsyncEngine) -> None:
    connections = Connections(engine, spares=1)
    assert await used(connections) is await used(connections)
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


async def test_after_one_finds_its_server_gone_no_other_one_fails(
    engine: AsyncEngine, servers: Backend, settings: Settings
) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite has no server that could go")
    connections = Connections(engine, spares=3)
    async with AsyncExitStack() as stack:
        for lent in (connections.autocommit, connections.autocommit, connections.transactional):
            connection = await stack.enter_async_context(lent())
            await connection.execute(ONE)
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    other = open_engine(settings)
    async with other.connect() as killer:
        await killer.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
    await other.dispose()
    with pytest.raises(DBAPIError):
        await used(connections)
    for _ in range(2):
        await used(connections)
    async with connections.transactional() as connection:
        assert await connection.scalar(ONE) == 1
    await connections.close()
