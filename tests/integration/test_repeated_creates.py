"""A create that comes again is the same prediction: by its key, or because the client says that it retries."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import event, func, select

from shared.contract import Status
from shared.database import clock
from shared.lifecycle import Ending, Progress, finish
from shared.queue import RedisPool, predict_queue
from shared.settings import Settings
from shared.tables import Prediction, Version
from tests.api_in_process import serving
from tests.database_fixtures import TRAINABLE, Rows, until
from worker.retention import Retention

PATH = "/v1/predictions"
DOOR = "/v1/models/pinion/echo/predictions"
KEY = {"Idempotency-Key": "order 66"}
OTHERS_TOKEN = "r8_" + "o" * 37


def again(count: int) -> dict[str, str]:
    return {"x-stainless-retry-count": str(count)}


async def predictions(rows: Rows) -> int:
    async with rows.database.reading() as connection:
        return int(await connection.scalar(select(func.count()).select_from(Prediction)) or 0)


async def asked(client: httpx.AsyncClient, headers: dict[str, str], text: str = "hi", path: str = DOOR) -> Any:
    answer = await client.post(path, json={"input": {"text": text}}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def end(rows: Rows, prediction_id: str) -> None:
    row = await rows.claimed(await rows.prediction(prediction_id))
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, "done", "", {}), row.started_at)
    async with rows.database.transaction() as transaction:
        assert await finish(transaction, ending)


@pytest.fixture
async def stranger(settings: Settings, client: httpx.AsyncClient, rows: Rows) -> AsyncIterator[httpx.AsyncClient]:
    """Another account."""
    await (await Rows.made(rows.database, "ada")).add_token(OTHERS_TOKEN)
    async with serving(settings) as opened:
        opened.headers["authorization"] = f"Bearer {OTHERS_TOKEN}"
        yield opened


async def test_the_same_key_is_the_same_prediction_however_the_address_is_written(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows
) -> None:
    first = await asked(client, KEY)
    assert await asked(client, KEY) == first
    assert await asked(client, KEY, path=DOOR.removeprefix("/v1")) == first
    assert await asked(client, KEY, path=f"/v1{DOOR}/") == first
    assert await predictions(rows) == 1
    assert await redis.zcard(predict_queue(rows.version_id)) == 1


async def test_of_creates_at_the_same_moment_one_is_made_and_all_get_it(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows
) -> None:
    shown = await asyncio.gather(*(asked(client, KEY) for _ in range(8)))
    assert {each["id"] for each in shown} == {shown[0]["id"]}
    shown = await asyncio.gather(*(asked(client, again(1), "other") for _ in range(8)))
    assert {each["id"] for each in shown} == {shown[0]["id"]}
    assert await predictions(rows) == 2
    assert await redis.zcard(predict_queue(rows.version_id)) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (DOOR, {"input": {"text": "other"}}),
        (DOOR, {"input": {}}),
        (DOOR, {"input": {"text": "hi"}, "webhook": "http://127.0.0.1:9/"}),
        (PATH, {"input": {"text": "hi"}, "version": "pinion/echo"}),
    ],
)
async def test_a_key_used_for_something_else_is_refused_and_named(
    client: httpx.AsyncClient, rows: Rows, path: str, body: dict[str, Any]
) -> None:
    await asked(client, KEY)
    answer = await client.post(path, json=body, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["invalid_fields"][0]["field"] == "Idempotency-Key"
    assert "new key" in answer.json()["detail"]
    assert await predictions(rows) == 1


async def test_keys_that_are_no_keys_are_refused(client: httpx.AsyncClient, rows: Rows) -> None:
    for key in ("", "k" * 256):
        answer = await client.post(DOOR, json={"input": {}}, headers={"Idempotency-Key": key})
        assert (answer.status_code, answer.json()["invalid_fields"][0]["field"]) == (422, "Idempotency-Key")
    assert await predictions(rows) == 0


async def test_the_order_of_the_keys_in_a_body_makes_no_other_request(client: httpx.AsyncClient, rows: Rows) -> None:
    sent = ('{"input": {"text": "a"}, "stream": true}', '{"stream":true,"input":{"text":"a"}}')
    headers = {**KEY, "content-type": "application/json"}
    answers = [await client.post(DOOR, content=content, headers=headers) for content in sent]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert await predictions(rows) == 1


async def test_a_key_of_another_account_is_another_key(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, rows: Rows
) -> None:
    own = await asked(client, KEY)
    other = await asked(stranger, KEY, path=DOOR)
    retried = await asked(stranger, again(1), path=DOOR)
    assert len({own["id"], other["id"], retried["id"]}) == 3 - (other["id"] == retried["id"])
    assert (await rows.prediction(own["id"])).account_id != (await rows.prediction(other["id"])).account_id
    assert own["id"] not in (other["id"], retried["id"])


async def test_a_retry_joins_the_first_try_and_a_first_try_joins_nothing(client: httpx.AsyncClient, rows: Rows) -> None:
    first, second = await asked(client, again(0)), await asked(client, again(0))
    assert first["id"] != second["id"]
    assert await asked(client, again(1)) == second
    assert await asked(client, again(2)) == second
    assert await predictions(rows) == 2


async def test_a_retry_whose_first_try_never_arrived_is_made_once(client: httpx.AsyncClient, rows: Rows) -> None:
    first = await asked(client, again(1))
    assert await asked(client, again(2)) == first
    assert (await asked(client, again(1), "other"))["id"] != first["id"]
    assert await predictions(rows) == 2


async def test_a_retry_that_comes_too_late_is_a_new_request(client: httpx.AsyncClient, rows: Rows) -> None:
    first = await asked(client, again(0))
    await rows.change(Prediction, Prediction.id == first["id"], created_at=clock(-601))
    assert (await asked(client, again(1)))["id"] != first["id"]


@pytest.mark.parametrize("headers", [{}, {"x-stainless-retry-count": "x"}])
async def test_without_a_word_of_it_the_same_request_is_another_prediction(
    client: httpx.AsyncClient, rows: Rows, headers: dict[str, str]
) -> None:
    assert (await asked(client, headers))["id"] != (await asked(client, headers))["id"]
    row = await rows.one(Prediction, Prediction.id == (await asked(client, headers))["id"])
    assert (row.create_key, row.fingerprint) == (None, None)


@pytest.mark.parametrize("headers", [KEY, again(1)])
async def test_what_has_ended_meanwhile_is_told_as_it_was_accepted_and_to_who_waits_as_it_is(
    client: httpx.AsyncClient, rows: Rows, headers: dict[str, str]
) -> None:
    first = await asked(client, headers)
    await end(rows, first["id"])
    assert await asked(client, headers) == first
    waited = await asked(client, {**headers, "Prefer": "wait"})
    assert (waited["id"], waited["status"], waited["output"]) == (first["id"], "succeeded", "done")


async def test_a_retry_waits_for_what_still_runs(client: httpx.AsyncClient, rows: Rows) -> None:
    first = await asked(client, again(0))
    asking = asyncio.create_task(asked(client, {**again(1), "Prefer": "wait=20"}))
    await end(rows, first["id"])
    assert (await asking)["output"] == "done"


async def test_after_a_day_a_key_may_be_used_anew(client: httpx.AsyncClient, settings: Settings, rows: Rows) -> None:
    first = await asked(client, KEY)
    retention = Retention(settings, rows.database)
    await rows.change(Prediction, Prediction.id == first["id"], created_at=clock(-86_300))
    await retention.apply()
    assert (await asked(client, KEY))["id"] == first["id"]
    await rows.change(Prediction, Prediction.id == first["id"], created_at=clock(-86_500))
    await retention.apply()
    assert (await asked(client, KEY, "other"))["id"] != first["id"]


@pytest.mark.parametrize(
    ("headers", "first", "then"), [({}, 1, 1), (KEY, 1, 2), (again(0), 1, 1), (again(1), 2, 1)], ids=str
)
async def test_how_many_statements_a_create_takes(
    settings: Settings, rows: Rows, headers: dict[str, str], first: int, then: int
) -> None:
    await rows.add_token()
    async with serving(settings) as client:
        services = client._transport.app.state.services  # type: ignore[attr-defined]
        body = {"input": {"text": "hi"}, "version": rows.version_id}
        await client.post(PATH, json=body)  # looks up the token and the version, and opens the connections
        sent: list[str] = []
        await until(services.admission._counting.done)  # what waits is counted once a second, beside creates
        services.admission._counted_until = math.inf
        engine = services.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda c, k, statement, *more: sent.append(statement))
        counts = []
        for _ in range(2):
            sent.clear()
            assert (await client.post(PATH, json=body, headers=headers)).status_code == 201
            counts.append(len([each for each in sent if "predictions" in each]))
        assert counts == [first, then]


async def test_a_joined_create_makes_no_second_job(client: httpx.AsyncClient, redis: RedisPool, rows: Rows) -> None:
    await asked(client, KEY)
    await until(lambda: redis.zcard(predict_queue(rows.version_id)))
    await redis.flushdb()
    await asked(client, KEY)
    assert await redis.zcard(predict_queue(rows.version_id)) == 0


@pytest.mark.parametrize("headers", [KEY, again(1)])
async def test_a_training_that_is_asked_for_again_is_the_same_training(
    client: httpx.AsyncClient, rows: Rows, headers: dict[str, str]
) -> None:
    await rows.change(Version, Version.id == rows.version_id, openapi_schema=TRAINABLE)
    body = {"destination": "pinion/echo", "input": {"text": "hi"}}
    path = f"/v1/models/pinion/echo/versions/{rows.version_id}/trainings"
    answers = await asyncio.gather(
        *(client.post(path, json=body, headers={**headers, "cancel-after": "60s"}) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[0].json()["deadline"]
    assert await predictions(rows) == 1
