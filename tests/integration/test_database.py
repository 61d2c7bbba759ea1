"""A transaction holds together, tells Redis only what has been committed, and loses nothing to its neighbours."""

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import pytest
from redis.asyncio.client import Pipeline
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.database import Database, Patience, Transaction, clock, open_engine
from shared.ids import new_id
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Leadership, Version
from tests.database_fixtures import PROJECT, Backend, Rows, redis_at, until

HEARD = "heard"
PROCESSES, INCREMENTS = 4, 100
_INCREMENT = """
import asyncio, sys
from sqlalchemy import select, update
from shared.database import Database
from shared.queue import open_redis
from shared.settings import Settings
from shared.tables import Version

async def count(settings, version_id, times):
    database = Database(settings, open_redis(settings.redis_url))
    mine = Version.id == version_id
    for _ in range(times):
        async with database.reading() as connection:  # shares the pool, and must leave no trace on its connections
            await connection.execute(select(Version.id).where(mine))
        async with database.transaction() as transaction:
            seen = (await transaction.execute(select(Version.delivery).where(mine))).scalar_one()
            await transaction.execute(update(Version).where(mine).values(delivery=seen + 1))
    await database.close()
    await database.redis.aclose()

asyncio.run(count(Settings(database_url=sys.argv[1], redis_url=sys.argv[2]), sys.argv[3], int(sys.argv[4])))
"""


@dataclass(frozen=True)
class Word:
    """Something a transaction tells Redis."""

    text: str = "done"

    def write(self, pipe: Pipeline) -> None:
        pipe.rpush(HEARD, self.text)


async def lead(transaction: Transaction, name: str) -> None:
    row = {"name": name, "holder": new_id(), "until": clock()}
    await transaction.execute(insert(Leadership).values(**row))


async def leads(database: Database, name: str) -> bool:
    async with database.reading() as connection:
        return (await connection.execute(select(Leadership).where(Leadership.name == name))).one_or_none() is not None


async def test_redis_hears_nothing_before_the_commit_and_everything_after_it(
    database: Database, redis: RedisPool
) -> None:
    async with database.transaction() as transaction:
        await lead(transaction, "chore")
        transaction.outbox += [Word("first"), Word("second")]
        assert not await redis.exists(HEARD)
    assert await redis.lrange(HEARD, 0, -1) == [b"first", b"second"]


async def test_whoever_hears_of_a_row_finds_it(database: Database, settings: Settings) -> None:
    async def look() -> list[bool]:
        async with redis_at(settings.redis_url, is_listening=True) as listening:
            heard = [(await listening.blpop([HEARD]))[1].decode() for _ in range(20)]
        return [await leads(database, name) for name in heard]

    looking = asyncio.create_task(look())
    for number in range(20):
        async with database.transaction() as transaction:
            await lead(transaction, f"chore {number}")
            transaction.outbox.append(Word(f"chore {number}"))
    assert all(await looking)


async def test_a_rollback_sends_nothing_and_leaves_no_row(database: Database, redis: RedisPool) -> None:
    async def change_my_mind() -> None:
        async with database.transaction() as transaction:
            await lead(transaction, "chore")
            transaction.outbox.append(Word())
            raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await change_my_mind()
    assert not await redis.exists(HEARD)
    assert not await leads(database, "chore")


async def test_a_statement_that_fails_sends_nothing(database: Database, redis: RedisPool) -> None:
    async with database.transaction() as transaction:
        await lead(transaction, "chore")

    async def take_the_name_again() -> None:
        async with database.single_statement() as transaction:
            transaction.outbox.append(Word())
            await lead(transaction, "chore")

    with pytest.raises(SQLAlchemyError):
        await take_the_name_again()
    assert not await redis.exists(HEARD)


async def test_a_single_statement_is_committed_before_redis_hears_of_it(database: Database, redis: RedisPool) -> None:
    async with database.single_statement() as transaction:
        await lead(transaction, "chore")
        transaction.outbox.append(Word())
        assert not await redis.exists(HEARD)
    assert await leads(database, "chore")
    assert await redis.exists(HEARD)


async def test_a_commit_holds_although_redis_is_down(settings: Settings, database: Database) -> None:
    async with redis_at(f"unix://{settings.home / 'nobody.sock'}") as nowhere:
        cut_off = Database(settings, nowhere)
        async with cut_off.transaction() as transaction:
            await lead(transaction, "chore")
            transaction.outbox.append(Word())
        await cut_off.close()
    assert await leads(database, "chore")


async def test_one_refused_command_does_not_keep_redis_from_hearing_the_others(
    database: Database, redis: RedisPool
) -> None:
    @dataclass(frozen=True)
    class Nonsense:
        def write(self, pipe: Pipeline) -> None:
            pipe.execute_command("XADD", "stream", "0-0", "field", "value")

    async with database.transaction() as transaction:
        transaction.outbox += [Nonsense(), Word()]
    assert await redis.exists(HEARD)


async def test_canceling_in_the_middle_of_a_transaction_leaves_the_database_usable(database: Database) -> None:
    for number in range(20):
        inside = asyncio.Event()

        async def write(name: str, inside: asyncio.Event = inside) -> None:
            async with database.transaction() as transaction:
                inside.set()
                await lead(transaction, name)
                await asyncio.Event().wait()

        writing = asyncio.create_task(write(f"chore {number}"))
        await inside.wait()
        for _ in range(number):  # a different place in the middle each time
            await asyncio.sleep(0)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        assert not await leads(database, f"chore {number}")
    async with database.transaction() as transaction:
        await lead(transaction, "chore")
    assert await leads(database, "chore")


async def test_four_processes_that_read_and_then_write_lose_no_change(servers: Backend, rows: Rows) -> None:
    if servers.name != "embedded":
        pytest.skip("Postgres keeps read and write together by conditional statements only")
    arguments = (servers.database_url, servers.redis_url, rows.version_id, str(INCREMENTS))
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _INCREMENT, *arguments, cwd=PROJECT)
        for _ in range(PROCESSES)
    ]
    assert [await process.wait() for process in processes] == [0] * PROCESSES
    counted = await rows.one(Version, Version.id == rows.version_id)
    assert counted.delivery == 1 + PROCESSES * INCREMENTS


async def test_the_clock_is_aware_utc_and_moves_by_seconds(database: Database) -> None:
    async with database.reading() as connection:
        query = select(clock(), clock(90.5), clock(-3600))
        now, later, earlier = (await connection.execute(query)).one()
    assert now.tzinfo == UTC
    assert abs(later - now - timedelta(seconds=90.5)) < timedelta(seconds=1)
    assert abs(now - earlier - timedelta(hours=1)) < timedelta(seconds=1)


async def test_a_stored_moment_compares_with_the_clock(database: Database) -> None:
    async with database.transaction() as transaction:
        await lead(transaction, "chore")
    checks = (Leadership.until < clock(0.5), Leadership.until > clock(-10), Leadership.until < clock(-10))
    async with database.reading() as connection:
        found = (await connection.execute(select(*checks))).one()
    assert tuple(map(bool, found)) == (True, True, False)


async def test_a_moment_written_from_python_compares_with_the_clock(database: Database) -> None:
    async with database.reading() as connection:
        now = (await connection.execute(select(clock()))).scalar_one()
    row = {"name": "chore", "holder": new_id(), "until": now + timedelta(milliseconds=1)}
    async with database.transaction() as transaction:
        await transaction.execute(insert(Leadership).values(**row))
    async with database.reading() as connection:
        kept = (await connection.execute(select(Leadership.until))).scalar_one()
    assert kept == row["until"]

    async def is_past() -> Any:
        async with database.reading() as connection:
            return await connection.scalar(select(Leadership.name).where(Leadership.until < clock()))

    assert await until(is_past) == "chore"


async def test_an_address_may_say_what_the_driver_knows(servers: Backend) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite's address is a file")
    address = f"{servers.database_url}?sslmode=disable&application_name=pinion-test"
    engine = open_engine(servers.settings(database_url=address), waits_for_disk=False)
    said = text("SELECT current_setting('application_name'), current_setting('synchronous_commit')")
    async with engine.connect() as connection:
        assert (await connection.execute(said)).one() == ("pinion-test", "off")
    await engine.dispose()


async def test_a_failed_statement_is_an_error_of_the_database_and_frees_its_connection(
    settings: Settings, redis: RedisPool
) -> None:
    narrow = Database(settings.model_copy(update={"database_pool": 1}), redis)

    async def fail() -> None:
        async with narrow.transaction() as transaction:
            await transaction.execute(text("SELECT nothing FROM nowhere"))

    for _ in range(3):
        with pytest.raises(DBAPIError):
            await fail()
    async with narrow.reading() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await narrow.close()


async def test_a_write_waits_for_another_no_longer_than_for_a_connection(servers: Backend, settings: Settings) -> None:
    if servers.name != "embedded":
        pytest.skip("Postgres has many writers")
    async with redis_at(settings.redis_url) as redis:
        database = Database(settings, redis, Patience(checkout=0.05, statement=5.0))
        async with database.transaction():
            with pytest.raises(PoolTimeoutError, match="another write"):
                async with database.single_statement():
                    pass
        async with database.transaction() as transaction:
            assert (await transaction.execute(text("SELECT 1"))).scalar() == 1
        await database.close()
