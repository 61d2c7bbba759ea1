"""How much may wait, of an account, for a model and at all; who is refused is told when to come again."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select

from api.admission import Admission
from shared import accounts
from shared.contract import Kind, Status
from shared.database import Database, clock
from shared.errors import QueueFull
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import Prediction
from tests.api_in_process import serving
from tests.database_fixtures import PrivateValkey, Rows, until

PATH = "/v1/predictions"
OTHER_TOKEN = "r8_" + "o" * 37


@asynccontextmanager
async def limited(settings: Settings, rows: Rows, **limits: int):
    """The API with limits, and a token for whoever made `rows`."""
    await rows.add_token()
    async with serving(settings.model_copy(update=limits)) as client:
        yield client


async def create(client: httpx.AsyncClient, version_id: str, **headers: str) -> httpx.Response:
    return await client.post(PATH, json={"version": version_id, "input": {}}, headers=headers)


async def stored(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(Prediction))).scalar_one())


async def is_let_in(client: httpx.AsyncClient, version_id: str) -> bool:
    return (await create(client, version_id)).status_code == 201


async def let_in(admission: Admission, rows: Rows) -> None:
    async with admission.place(rows.wanted()):
        pass


@pytest.fixture
async def uncounting(settings: Settings, database: Database) -> AsyncIterator[Admission]:
    """With room for six of a version, and no database to count what waits."""
    nowhere = settings.model_copy(update={"database_url": "sqlite+aiosqlite:////nowhere/x"})
    broken = Database(nowhere, database.redis)
    try:
        async with Admission(settings.model_copy(update={"model_backlog_max": 6}), broken) as admission:
            yield admission
    finally:
        await broken.close()


async def test_what_is_being_stored_while_it_is_counted_has_its_place(
    settings: Settings, rows: Rows, database: Database
) -> None:
    counts: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        counts.append(statement)

    event.listen(database._engine.sync_engine, "after_cursor_execute", note)
    try:
        limits = settings.model_copy(update={"model_backlog_max": 1})
        async with Admission(limits, database) as admission, admission.place(rows.wanted()):
            await until(lambda: counts)
            await until(lambda: admission._counting and admission._counting.done())
            with pytest.raises(QueueFull):
                await let_in(admission, rows)
    finally:
        event.remove(database._engine.sync_engine, "after_cursor_execute", note)


async def test_what_could_not_be_stored_takes_no_place(settings: Settings, rows: Rows, database: Database) -> None:
    async with Admission(settings.model_copy(update={"model_backlog_max": 1}), database) as admission:

        async def fail() -> None:
            async with admission.place(rows.wanted()):
                await until(lambda: admission._counting and admission._counting.done())
                raise OSError("disk")

        with pytest.raises(OSError, match="disk"):
            await fail()
        await let_in(admission, rows)


async def test_an_account_has_only_so_many_waiting_and_running_and_others_are_not_touched(
    settings: Settings, rows: Rows, database: Database
) -> None:
    other = await Rows.made(database, "other")
    await other.add_token(OTHER_TOKEN)
    running = await rows.running()
    async with limited(settings, rows, account_predictions_max=3) as client:
        await client._transport.app.state.services.admission._counted()  # type: ignore[attr-defined]
        await until(lambda: is_full(client, rows.version_id))  # with what was there before, now that it is known
        refused = await create(client, rows.version_id)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert refused.headers["content-type"] == "application/problem+json"
        detail = "You have 3 predictions that wait or run, the most there may be at once. "
        assert refused.json() == {
            "title": "Request was throttled",
            "detail": detail + "Create more when some of them have ended.",
            "status": 429,
            "retry_after": 5,
        }
        assert await stored(database) == 3
        assert (await create(client, other.version_id, authorization=f"Bearer {OTHER_TOKEN}")).status_code == 201
        await client.post(f"{PATH}/{running.id}/cancel")
        await rows.change(Prediction, Prediction.id == running.id, status=Status.CANCELED, completed_at=clock())
        await until(lambda: is_let_in(client, rows.version_id))


@pytest.mark.parametrize(("own", "all_others", "let_in"), [(2, 0, 2), (3, 1, 3), (0, 1, 4), (None, 1, 1)])
async def test_an_account_may_have_a_limit_of_its_own(
    settings: Settings, rows: Rows, database: Database, own: int | None, all_others: int, let_in: int
) -> None:
    await accounts.limit(database, rows.username, own)
    async with limited(settings, rows, account_predictions_max=all_others) as client:
        answers = [await create(client, rows.version_id) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201] * let_in + [429] * (4 - let_in)
        if refused := answers[let_in:]:
            assert f"You have {let_in} predictions" in refused[0].json()["detail"]


async def is_full(client: httpx.AsyncClient, version_id: str) -> bool:
    """Creates one more, unless it is."""
    return not await is_let_in(client, version_id)


async def test_a_model_has_only_so_many_waiting_but_nobody_is_shut_out_by_another(
    settings: Settings, rows: Rows, database: Database
) -> None:
    await (await Rows.made(database, "other")).add_token(OTHER_TOKEN)
    async with limited(settings, rows, model_backlog_max=2) as client:
        assert [(await create(client, rows.version_id)).status_code for _ in range(3)] == [201, 201, 429]
        refused = await create(client, rows.version_id)
        seconds = int(refused.headers["retry-after"])
        assert 1 <= seconds <= 60
        assert refused.json() == {
            "title": "Queue full",
            "detail": "The queue for this model is full: 2 predictions may wait for pinion/echo. "
            f"Try again in about {seconds} s.",
            "status": 429,
            "retry_after": seconds,
        }
        client.headers["authorization"] = f"Bearer {OTHER_TOKEN}"
        assert [(await create(client, rows.version_id)).status_code for _ in range(2)] == [201, 429]
        another = await rows.add_version()
        client.headers["authorization"] = f"Bearer {'r8_' + 't' * 37}"
        assert await is_let_in(client, another)


async def test_who_has_less_than_a_share_of_a_full_queue_is_let_in(uncounting: Admission, rows: Rows) -> None:
    other, unlucky = (dataclasses.replace(rows, account_id=new_id()) for _ in range(2))
    with pytest.raises(OSError, match="disk"):
        async with uncounting.place(unlucky.wanted()):
            raise OSError("disk")
    for account, places in ((rows, 6), (other, 3)):
        for _ in range(places):
            await let_in(uncounting, account)
        with pytest.raises(QueueFull):
            await let_in(uncounting, account)


async def test_a_place_is_free_again_as_soon_as_one_has_begun(settings: Settings, rows: Rows) -> None:
    async with limited(settings, rows, model_backlog_max=2) as client:
        ids = [(await create(client, rows.version_id)).json()["id"] for _ in range(2)]
        assert not await is_let_in(client, rows.version_id)
        await rows.claimed(await rows.prediction(ids[0]))
        await until(lambda: is_let_in(client, rows.version_id))


async def test_nobody_is_refused_for_what_has_ended_since_it_was_counted(settings: Settings, rows: Rows) -> None:
    async with limited(settings, rows, model_backlog_max=2, account_predictions_max=2) as client:
        for _ in range(12):
            created = await create(client, rows.version_id)
            assert created.status_code == 201, created.text
            await client.post(f"{PATH}/{created.json()['id']}/cancel")


async def test_when_everything_is_full_the_server_says_that_it_is(
    settings: Settings, rows: Rows, database: Database
) -> None:
    async with limited(settings, rows, backlog_max=2) as client:
        await create(client, rows.version_id)
        await create(client, await rows.add_version())
        refused = await create(client, await rows.add_version())
    assert (refused.status_code, refused.json()["title"]) == (503, "Overloaded")
    assert int(refused.headers["retry-after"]) > 0
    assert await stored(database) == 2


async def test_creates_at_once_overshoot_by_nothing_in_a_process_and_by_its_limit_in_another(
    settings: Settings, rows: Rows, database: Database
) -> None:
    await rows.add_token()
    tight = settings.model_copy(update={"model_backlog_max": 10})
    async with serving(tight) as client:
        answers = await asyncio.gather(*(create(client, rows.version_id) for _ in range(50)))
        assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 40}
        async with serving(tight) as second:
            answers = await asyncio.gather(*(create(second, rows.version_id) for _ in range(50)))
            await until(lambda: is_full(second, rows.version_id))
    assert 10 <= await stored(database) <= 20


async def test_what_others_have_queued_counts_as_soon_as_it_has_been_counted(settings: Settings, rows: Rows) -> None:
    for _ in range(5):
        await rows.waiting()
    async with limited(settings, rows, model_backlog_max=5) as client:
        await until(lambda: is_full(client, rows.version_id))


async def test_who_asks_again_for_what_was_accepted_gets_it_although_all_is_full(
    settings: Settings, rows: Rows, database: Database
) -> None:
    async with limited(settings, rows, model_backlog_max=1) as client:
        made = await create(client, rows.version_id, **{"Idempotency-Key": "one"})
        again = await create(client, rows.version_id, **{"Idempotency-Key": "one"})
        assert (again.status_code, again.json()["id"]) == (201, made.json()["id"])
        assert (await create(client, rows.version_id, **{"Idempotency-Key": "two"})).status_code == 429
    assert await stored(database) == 1


async def test_without_redis_predictions_are_accepted_until_no_more_may_wait(
    settings: Settings, rows: Rows, valkey: PrivateValkey
) -> None:
    await rows.add_token()
    valkey.kill()
    alone = settings.model_copy(update={"redis_url": valkey.url, "model_backlog_max": 3})
    async with serving(alone) as client:
        answers = [await create(client, rows.version_id) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]


async def test_trainings_stand_in_one_queue(settings: Settings, rows: Rows, database: Database) -> None:
    for version_id in (rows.version_id, await rows.add_version()):
        await rows.waiting(version_id=version_id, kind=Kind.TRAINING)
    async with Admission(settings.model_copy(update={"model_backlog_max": 2}), database) as admission:

        async def is_refused() -> bool:
            try:
                async with admission.place(rows.wanted(kind=Kind.TRAINING, version_id=await rows.add_version())):
                    return False
            except QueueFull:
                return True

        await until(is_refused)
        await let_in(admission, rows)


async def test_counting_costs_no_create_a_statement(settings: Settings, rows: Rows, database: Database) -> None:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(database._engine.sync_engine, "before_cursor_execute", note)
    try:
        async with Admission(settings, database) as admission:
            for _ in range(200):
                await let_in(admission, rows)
            await until(lambda: asked)
    finally:
        event.remove(database._engine.sync_engine, "before_cursor_execute", note)
    assert len(asked) <= 2


async def test_a_count_that_cannot_be_made_refuses_nobody(uncounting: Admission, rows: Rows) -> None:
    for _ in range(6):
        await let_in(uncounting, rows)
    with pytest.raises(QueueFull):
        await let_in(uncounting, rows)
