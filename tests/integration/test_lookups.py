"""Predictions that many ask for at once are read together, and what is read is never older than the question."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from api.lookups import Lookups
from shared.database import Database
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Prediction, Table
from tests.database_fixtures import Rows

MANY = 150


@pytest_asyncio.fixture
async def lookups(database: Database) -> AsyncIterator[Lookups]:
    async with Lookups(database) as lookups:
        yield lookups


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Those that reach the database meanwhile."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def test_everybody_gets_their_own_with_few_statements(database: Database, rows: Rows, lookups: Lookups) -> None:
    made = [(await rows.waiting()).id for _ in range(MANY)]
    with statements(database) as seen:
        found = await asyncio.gather(*map(lookups.find, made))
    assert [row.id for row in found if row] == made
    assert len(seen) == 3


async def test_who_asks_for_the_same_gets_the_same_row(rows: Rows, lookups: Lookups) -> None:
    made = await rows.waiting()
    first, second, nobody = await asyncio.gather(*map(lookups.find, (made.id, made.id, "unknown")))
    assert first == second == made
    assert nobody is None


async def test_what_was_written_before_the_question_is_in_the_answer(rows: Rows, lookups: Lookups) -> None:
    made = await rows.waiting()
    asks = asyncio.Event()

    async def keep_asking() -> None:
        while not asks.is_set():
            await lookups.find(made.id)

    others = [asyncio.create_task(keep_asking()) for _ in range(5)]
    for attempt in range(1, 50):
        await rows.change(Prediction, Prediction.id == made.id, attempt=attempt)
        found = await lookups.find(made.id)
        assert found is not None
        assert found.attempt == attempt
    asks.set()
    await asyncio.gather(*others)


async def test_nobody_is_forgotten_however_questions_and_answers_meet(rows: Rows, lookups: Lookups) -> None:
    made = await rows.waiting()

    async def ask_often(pauses: int) -> None:
        for _ in range(200):
            assert await lookups.find(made.id) == made
            for _ in range(pauses):
                await asyncio.sleep(0)

    async with asyncio.timeout(30):
        await asyncio.gather(*(ask_often(number % 5) for number in range(16)))


async def test_who_stops_waiting_takes_the_answer_from_nobody(rows: Rows, lookups: Lookups) -> None:
    made = await rows.waiting()
    stays, leaves = (asyncio.create_task(lookups.find(made.id)) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    assert await stays == made
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_a_failure_is_told_to_all_and_the_next_question_is_asked_anew(
    tmp_path: Path, redis: RedisPool, settings: Settings
) -> None:
    elsewhere = Settings(home=tmp_path, database_url=f"sqlite:///{tmp_path}/empty.db", redis_url=settings.redis_url)
    database = Database(elsewhere, redis)
    async with Lookups(database) as lookups:
        told = await asyncio.gather(lookups.find("a"), lookups.find("b"), return_exceptions=True)
        assert [isinstance(each, DBAPIError) for each in told] == [True, True]
        async with database._engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)
        assert await lookups.find("a") is None
    await database.close()
