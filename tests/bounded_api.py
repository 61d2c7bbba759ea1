"""One API process whose bounds are short and narrow, started once for all files of tests that ask it."""

import asyncio
import os
from collections.abc import Iterator

import pytest

from shared.database import Database
from tests.database_fixtures import Backend, Rows, backend, redis_at
from tests.instance import api_process
from tests.raw_requests import BOUNDS


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Database and Redis, which are not what is tested."""
    with backend("embedded", tmp_path_factory.mktemp("door")) as started:
        yield started


@pytest.fixture(scope="session")
def streams(behind: Backend) -> dict[str, str]:
    """The address of a stream for each of two accounts; the first has a token."""
    return asyncio.run(_two_accounts(behind))


async def _two_accounts(behind: Backend) -> dict[str, str]:
    async with redis_at(behind.redis_url) as redis:
        database = Database(behind.settings(), redis)
        accounts = {name: await Rows.made(database, name) for name in ("pinion", "other")}
        await accounts["pinion"].add_token()
        made = {name: await rows.waiting(streams=True) for name, rows in accounts.items()}
        await database.close()
    return {name: f"/v1/streams/{row.id}{row.stream_token}" for name, row in made.items()}


@pytest.fixture(scope="session")
def address(behind: Backend, streams: dict[str, str]) -> Iterator[str]:
    """Of the server."""
    foreign = ("PINION_", "DATABASE_URL", "REDIS_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {"PINION_HOME": str(behind.home), "DATABASE_URL": behind.database_url, "REDIS_URL": behind.redis_url}
    with api_process({**kept, **own, **BOUNDS}) as address:
        yield address
