"""Real Postgres and Redis for tests, where they answer on loopback.

Each user gets a database of its own, dropped afterwards, and an empty Redis database: nothing of others is touched.
"""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
import redis

POSTGRES = os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")


async def _run(statement: str) -> None:
    connection = await asyncpg.connect(POSTGRES, timeout=3)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def fresh_postgres(name: str) -> Iterator[str]:
    """URL of a new, empty database; skips the test with the reason where no server answers."""
    try:
        asyncio.run(_run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        asyncio.run(_run(f'CREATE DATABASE "{name}"'))
    except (OSError, asyncpg.PostgresError) as error:
        pytest.skip(f"no Postgres at {POSTGRES}: {error}")
    try:
        yield f"{POSTGRES.rpartition('/')[0]}/{name}"
    finally:
        asyncio.run(_run(f'DROP DATABASE "{name}" WITH (FORCE)'))


def break_connections(url: str) -> None:
    """End every connection to one of our databases, as a restart of the server or a proxy before it would."""
    name = url.rpartition("/")[2]
    asyncio.run(_run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))


@contextmanager
def fresh_redis() -> Iterator[str]:
    """URL of an empty Redis database, emptied again afterwards; skips where there is none."""
    for number in range(15, 0, -1):
        with _claimed(number) as is_ours, redis.Redis.from_url(f"{REDIS}/{number}") as client:
            try:
                if not is_ours or client.dbsize():
                    continue
            except redis.RedisError as error:
                pytest.skip(f"no Redis at {REDIS}: {error}")
            try:
                yield f"{REDIS}/{number}"
            finally:
                client.flushdb()
            return
    pytest.skip(f"every database of the Redis at {REDIS} is in use")


@contextmanager
def _claimed(number: int) -> Iterator[bool]:
    """Whether no other test run of this machine has the database: one emptied in a test looks free to others."""
    with (Path(tempfile.gettempdir()) / f"pinion-tests-redis-{number}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
