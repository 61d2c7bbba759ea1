"""Fixtures on real databases and real Redis servers, for both ways Pinion is run."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import structlog
from sqlalchemy import delete
from sqlalchemy.exc import DBAPIError

from shared.database import Database
from shared.ids import new_id
from shared.live import Feed
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Table
from tests import forks
from tests.api_in_process import serving
from tests.database_fixtures import (
    BACKENDS,
    LOOPBACK,
    Backend,
    Command,
    PrivateValkey,
    Rows,
    backend,
    private_valkey,
    redis_at,
    until,
)
from tests.host import Host, hosting
from tests.listener import Listener
from tests.model_processes import Start, starting
from tests.owned import Property
from worker.deliver import Sender
from worker.outbound import Outbound


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """One line an event: the coloured traceback that structlog has for people takes seconds to draw."""
    structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture(scope="session", params=BACKENDS)
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Database and Redis, migrated once and shared by all tests of this run."""
    with backend(request.param, tmp_path_factory.mktemp("pinion")) as started:
        yield started


@pytest.fixture
def settings(servers: Backend, tmp_path: Path) -> Settings:
    """Of a service on those servers, with a home of its own; webhooks may go to loopback, and files come from there."""
    return servers.settings(home=tmp_path, webhook_allow_cidrs=LOOPBACK, file_allow_cidrs=LOOPBACK)


@pytest_asyncio.fixture(scope="session")
async def shared_redis(servers: Backend) -> AsyncIterator[RedisPool]:
    async with redis_at(servers.redis_url) as pool:
        yield pool


@pytest_asyncio.fixture(scope="session")
async def shared_database(servers: Backend, shared_redis: RedisPool) -> AsyncIterator[Database]:
    """One for all tests, since building its statements anew takes longer than most tests."""
    opened = Database(servers.settings(), shared_redis)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def redis(shared_redis: RedisPool) -> RedisPool:
    """An empty Redis."""
    await shared_redis.flushdb()
    return shared_redis


@pytest_asyncio.fixture
async def database(shared_database: Database, redis: RedisPool) -> Database:
    """A database without rows."""
    try:
        await _empty(shared_database)
    except DBAPIError:  # the test before broke its connections
        await _empty(shared_database)
    return shared_database


async def _empty(database: Database) -> None:
    async with database.transaction() as transaction:
        for table in reversed(Table.metadata.sorted_tables):
            await transaction.execute(delete(table))


@pytest.fixture
def pinion(servers: Backend, database: Database, tmp_path: Path) -> Command:
    """Runs `pinion …` on the database of the test."""
    given = {"PINION_HOME": str(tmp_path), "DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    return partial(forks.run, given, "cli")


@pytest_asyncio.fixture
async def rows(database: Database) -> Rows:
    """An account, a model and a ready version."""
    return await Rows.made(database)


@pytest_asyncio.fixture
async def owned(database: Database, settings: Settings) -> Property:
    """All that another account has."""
    return await Property.made(database, settings)


@pytest_asyncio.fixture
async def feed(settings: Settings) -> AsyncIterator[Feed]:
    """What is told live, over a connection of its own that is open already."""
    async with redis_at(settings.redis_url, connections=2, is_listening=True) as pool, Feed(pool) as opened:
        await until(lambda: opened._pubsub.channels)
        yield opened


@pytest_asyncio.fixture
async def host(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[Host]:
    async with hosting(settings, database, feed) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(settings: Settings, rows: Rows) -> AsyncIterator[httpx.AsyncClient]:
    """The API as the account of `rows` sees it."""
    await rows.add_token()
    async with serving(settings) as opened:
        yield opened


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    """A Valkey of this test alone, to be killed and started again."""
    with private_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts model processes and ends them after the test."""
    async with starting() as start:
        yield start


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for temporary files that this test has for itself."""
    folder = tmp_path_factory.mktemp("scratch")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    """A server that behaves as badly as a test wants."""
    async for started in Listener().serve():
        yield started


@pytest_asyncio.fixture
async def sender(settings: Settings, database: Database) -> AsyncIterator[Sender]:
    async with Outbound(settings.webhook_allow_cidrs) as client:
        yield Sender(settings, database, client, new_id())
