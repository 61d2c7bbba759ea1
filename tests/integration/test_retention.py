"""Some time after its end a prediction's data goes, everywhere; that it was run stays. What is spared is spared."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, insert, text

from shared import files, lifecycle
from shared.contract import Status
from shared.database import Database, clock
from shared.file_store import Incoming, content_path
from shared.files import Description
from shared.lifecycle import Ending, Progress
from shared.live import Chunk, stream_key
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Prediction, WebhookAttempt, WebhookMessage
from tests.database_fixtures import Rows, until
from worker.retention import _BATCH, _MAY_GO, Retention, _ago
from worker.sweep import Sweep

PATH = "/v1/predictions"
SECRET = "very private"
HOOK = "http://127.0.0.1:9/hook"
HOUR = 3600.0


@pytest.fixture
def retention(settings: Settings, database: Database) -> Retention:
    return Retention(settings, database)


async def kept_file(rows: Rows, home: Path, prediction_id: str) -> str:
    with Incoming(home) as incoming:
        incoming.write(SECRET.encode())
        incoming.complete()
        description = Description(rows.account_id, "out.txt", "text/plain", 0, prediction_id)
        row = await files.register(rows.database, incoming, description)
        incoming.publish(row.id)
    return str(row.id)


async def ended(rows: Rows, seconds_ago: float, **changes: Any) -> Row[Any]:
    """A prediction full of data that ended so long ago."""
    row = await rows.running(input={"text": SECRET}, streams=True, **changes)
    await rows.database.send([Chunk(row.id, row.attempt, 0, [SECRET])])
    progress = Progress(row.id, row.attempt, [SECRET], SECRET, {"predict_time": 1.5})
    ending = Ending(row, Status.SUCCEEDED, None, progress, row.started_at)
    async with rows.database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)
    await rows.change(Prediction, Prediction.id == row.id, completed_at=clock(-seconds_ago))
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, state="delivered")
    return await rows.prediction(row.id)


async def is_removed(rows: Rows, row: Row[Any]) -> bool:
    return (await rows.prediction(row.id)).data_removed_at is not None


async def test_the_data_goes_and_the_record_stays(
    client: httpx.AsyncClient, rows: Rows, settings: Settings, retention: Retention
) -> None:
    row = await ended(rows, HOUR + 1, webhook=HOOK, lifetime_seconds=60)
    file_id = await kept_file(rows, settings.home, row.id)
    before = (await client.get(f"{PATH}/{row.id}")).json()
    assert (await client.get(f"/v1/outputs/{file_id}/out.txt")).status_code == 200
    await retention.apply()
    after = (await client.get(f"{PATH}/{row.id}")).json()
    del before["urls"]["stream"]
    assert after == before | {"input": {}, "output": None, "logs": "", "data_removed": True}
    assert (await client.get(PATH)).json()["results"] == [after]
    assert (await client.get(f"/v1/outputs/{file_id}/out.txt")).status_code == 404
    assert (await client.get(f"/v1/streams/{row.id}{row.stream_token}")).status_code == 404
    assert (await client.post(f"{PATH}/{row.id}/cancel")).json() == after


async def test_nothing_of_it_is_left_anywhere(
    rows: Rows, redis: RedisPool, settings: Settings, retention: Retention
) -> None:
    row = await ended(rows, HOUR + 1, webhook=HOOK)
    file_id = await kept_file(rows, settings.home, row.id)
    assert await redis.exists(stream_key(row.id))
    [message, *_] = await rows.messages(row.id)
    repeated = {"message_id": message.id, "number": 1, "answer": "HTTP 500", "response": SECRET, "milliseconds": 1}
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(WebhookAttempt).values(**repeated, created_at=clock()))
    await retention.apply()
    assert not content_path(settings.home, file_id).exists()
    assert not await redis.exists(stream_key(row.id))
    async with rows.database.reading() as connection:
        for table in ("predictions", "files", "webhook_messages", "webhook_attempts"):
            rows_left = (await connection.execute(text(f"SELECT * FROM {table}"))).all()
            assert SECRET not in str(rows_left)
    assert [message.body for message in await rows.messages(row.id)] == [b""] * len(await rows.messages(row.id))


async def test_what_ended_a_short_while_ago_or_has_not_ended_is_kept(rows: Rows, retention: Retention) -> None:
    kept = [await ended(rows, HOUR - 60), await rows.waiting(), await rows.running()]
    await retention.apply()
    assert [await rows.prediction(row.id) for row in kept] == kept


async def test_what_was_made_in_the_browser_is_kept_for_longer(rows: Rows, retention: Retention) -> None:
    young, old = await ended(rows, 89 * 24 * HOUR, source="web"), await ended(rows, 91 * 24 * HOUR, source="web")
    await retention.apply()
    assert [await is_removed(rows, row) for row in (young, old)] == [False, True]


async def test_without_a_limit_nothing_is_removed(settings: Settings, rows: Rows) -> None:
    row = await ended(rows, 1000 * 24 * HOUR)
    settings = settings.model_copy(update={"api_data_seconds": 0.0})
    await Retention(settings, rows.database).apply()
    assert not await is_removed(rows, row)


@pytest.mark.parametrize(("state", "is_gone"), [("pending", False), ("delivering", False), ("dead", True)])
async def test_what_is_still_owed_to_a_receiver_waits_for_it_and_what_was_given_up_does_not(
    rows: Rows, retention: Retention, state: str, is_gone: bool
) -> None:
    row = await ended(rows, HOUR + 1, webhook=HOOK)
    *_, last = await rows.messages(row.id)
    await rows.change(WebhookMessage, WebhookMessage.id == last.id, state=state)
    await retention.apply()
    assert await is_removed(rows, row) == is_gone
    assert (await rows.messages(row.id))[-1].body == last.body
    await rows.change(WebhookMessage, WebhookMessage.id == last.id, state="delivered")
    await retention.apply()
    assert await is_removed(rows, row)


async def test_a_backlog_is_removed_a_batch_at_a_time_the_oldest_first(
    rows: Rows, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.retention._BATCH", 2)
    predictions = [await ended(rows, HOUR + seconds) for seconds in (10, 30, 20)]
    await retention.apply()
    assert [await is_removed(rows, row) for row in predictions] == [False, True, True]
    await retention.apply()
    assert await is_removed(rows, predictions[0])


async def test_an_example_is_spared_and_what_was_removed_cannot_become_one(
    client: httpx.AsyncClient, rows: Rows, retention: Retention
) -> None:
    shown, gone = [await ended(rows, HOUR + 1) for _ in range(2)]
    examples = f"/v1/models/{rows.username}/echo/examples"
    assert (await client.post(examples, json={"prediction": shown.id})).status_code == 201
    await retention.apply()
    assert [await is_removed(rows, row) for row in (shown, gone)] == [False, True]
    refused = await client.post(examples, json={"prediction": gone.id})
    assert refused.status_code == 422
    assert "still kept" in refused.json()["detail"]


async def test_what_was_removed_is_not_touched_again(rows: Rows, retention: Retention) -> None:
    row = await ended(rows, HOUR + 1)
    await retention.apply()
    before = await rows.prediction(row.id)
    await retention.apply()
    assert await rows.prediction(row.id) == before


async def test_the_sweep_does_it(settings: Settings, database: Database, rows: Rows) -> None:
    row = await ended(rows, HOUR + 1)
    sweep = Sweep(settings, database, "sweep")

    async def removed() -> bool:
        await sweep.tick()
        return await is_removed(rows, row)

    await until(removed)


async def test_postgres_reads_no_more_than_it_removes(database: Database, rows: Rows) -> None:
    if not database.joins_writes:
        pytest.skip("SQLite plans without figures")
    await ended(rows, 1)
    query = Prediction.__table__.select().where(_MAY_GO, Prediction.completed_at < _ago(HOUR))
    query = query.order_by(Prediction.completed_at).limit(_BATCH)
    compiled = query.compile(dialect=database._engine.dialect, compile_kwargs={"literal_binds": True})
    async with database.reading() as connection:
        await connection.execute(text("SET enable_seqscan = off"))
        plan = (await connection.execute(text(f"EXPLAIN {compiled}"))).scalars().all()
        await connection.execute(text("RESET enable_seqscan"))
    assert "Index Cond: (completed_at < " in "\n".join(plan)
