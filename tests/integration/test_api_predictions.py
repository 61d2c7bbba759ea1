"""Creating, awaiting, reading, canceling and streaming a prediction over HTTP; the worker is played by hand."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import Row, func, select

from shared import lifecycle
from shared.contract import Status, VersionStatus, WebhookEvent
from shared.database import Database
from shared.lifecycle import Ending, Progress
from shared.queue import PredictJob, RedisPool, missing, predict_queue
from shared.settings import Settings
from shared.tables import Model, Prediction, Version
from tests.api_in_process import serving
from tests.database_fixtures import TOKEN, Rows, until

PATH = "/v1/predictions"
HOOK = "http://127.0.0.1:9/hook"


async def created(client: httpx.AsyncClient, body: dict[str, Any], **headers: str) -> Any:
    answer = await client.post(PATH, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def end(rows: Rows, row: Row[Any], status: Status = Status.SUCCEEDED, output: Any = "done") -> None:
    ending = Ending(row, status, None, Progress(row.id, row.attempt, output, "", {}), row.started_at)
    async with rows.database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)


async def newest(rows: Rows) -> Any:
    async with rows.database.reading() as connection:
        query = select(Prediction.__table__).order_by(Prediction.created_at.desc()).limit(1)
        return (await connection.execute(query)).one_or_none()


async def predictions(rows: Rows) -> int:
    async with rows.database.reading() as connection:
        return int(await connection.scalar(select(func.count()).select_from(Prediction)) or 0)


async def test_an_accepted_prediction_is_stored_queued_and_shown(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows
) -> None:
    shown = await created(client, {"version": rows.version_id, "input": {"text": "hi"}})
    row = await rows.prediction(shown["id"])
    assert (shown["status"], shown["input"], shown["model"]) == ("starting", {"text": "hi"}, "pinion/echo")
    assert shown["urls"]["get"] == f"http://pinion.test{PATH}/{row.id}"
    job = PredictJob(row.id, 1, row.version_id)
    assert await missing(redis, [(predict_queue(row.version_id), job.job_id)]) == [False]
    assert (await client.get(f"{PATH}/{row.id}")).json() == shown


async def test_a_version_is_named_by_its_id_by_its_model_or_by_both(client: httpx.AsyncClient, rows: Rows) -> None:
    for reference in (rows.version_id, "pinion/echo", f"pinion/echo:{rows.version_id}"):
        shown = await created(client, {"version": reference, "input": {}})
        assert shown["version"] == rows.version_id
    answer = await client.post("/v1/models/pinion/echo/predictions", json={"input": {}})
    assert (answer.status_code, answer.json()["version"]) == (201, rows.version_id)


@pytest.mark.parametrize(
    "reference",
    ["0" * 64, "pinion/nothing", "nobody/echo", f"pinion/other:{'0' * 64}", "echo", "", ":", "/", "a/b/c", "pinion/\0"],
)
async def test_a_version_that_is_not_there_is_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, rows: Rows, reference: str
) -> None:
    answer = await client.post(PATH, json={"version": reference, "input": {}})
    assert answer.status_code == 422, answer.text
    assert await predictions(rows) == 0


@pytest.mark.parametrize("status", [VersionStatus.BUILDING, VersionStatus.FAILED])
async def test_a_version_that_is_not_ready_cannot_be_run(
    client: httpx.AsyncClient, rows: Rows, status: VersionStatus
) -> None:
    version_id = await rows.add_version(status=status)
    answer = await client.post(PATH, json={"version": version_id, "input": {}})
    assert answer.status_code == 422


async def test_the_newest_version_is_asked_for_every_time(client: httpx.AsyncClient, rows: Rows) -> None:
    before = await created(client, {"version": "pinion/echo", "input": {}})
    newer = await rows.add_version()
    await rows.change(Model, Model.id == rows.model_id, latest_version_id=newer)
    after = await created(client, {"version": "pinion/echo", "input": {}})
    assert (before["version"], after["version"]) == (rows.version_id, newer)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": {"text": 5}}, "input.text"),
        ({"input": None}, "input"),
        ({}, ""),
        ({"input": {}, "stray": 1}, ""),
        ({"input": {}, "webhook": ""}, "webhook"),
        ({"input": {}, "webhook": "ftp://example.com/"}, "webhook"),
        ({"input": {}, "webhook": "http://10.0.0.1/"}, "webhook"),
        ({"input": {}, "webhook": HOOK, "webhook_events_filter": ["end"]}, "webhook_events_filter.0"),
    ],
)
async def test_a_wrong_body_is_explained_and_leaves_nothing_behind(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows, body: dict[str, Any], field: str
) -> None:
    answer = await client.post(PATH, json={"version": rows.version_id, **body})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [entry["field"] for entry in answer.json()["invalid_fields"]] == [field]
    assert await predictions(rows) == 0
    assert not await redis.exists(predict_queue(rows.version_id))


@pytest.mark.parametrize("number", ["123456789012345678901234567890", "-18446744073709551616", "1e308", "0.1"])
async def test_numbers_of_any_size_are_kept_or_refused_but_break_nothing(
    client: httpx.AsyncClient, rows: Rows, number: str
) -> None:
    version_id = await rows.add_version(openapi_schema=_accepting_numbers())
    body = f'{{"version": "{version_id}", "input": {{"number": {number}}}}}'
    answer = await client.post(PATH, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (201, 422), answer.text
    if answer.status_code == 201:
        assert (await client.get(f"{PATH}/{answer.json()['id']}")).json()["input"] == answer.json()["input"]


def _accepting_numbers() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"number": {"type": "number"}}}
    return {"openapi": "3.0.2", "components": {"schemas": {"Input": schema, "Output": {"type": "string"}}}}


@pytest.mark.parametrize(
    ("body", "webhook", "events"),
    [
        ({}, None, None),
        ({"webhook": HOOK}, HOOK, list(WebhookEvent)),
        ({"webhook": HOOK, "webhook_events_filter": ["completed", "start"]}, HOOK, ["completed", "start"]),
        ({"webhook": HOOK, "webhook_events_filter": ["logs", "logs"]}, HOOK, ["logs"]),
        ({"webhook": HOOK, "webhook_events_filter": []}, HOOK, []),
        ({"webhook": HOOK, "webhook_events_filter": None}, HOOK, list(WebhookEvent)),
        ({"webhook_completed": HOOK}, HOOK, ["completed"]),
        ({"webhook": None, "webhook_completed": None}, None, None),
    ],
)
async def test_the_wishes_for_webhooks_are_kept(
    client: httpx.AsyncClient, rows: Rows, body: dict[str, Any], webhook: Any, events: Any
) -> None:
    shown = await created(client, {"version": rows.version_id, "input": {}, **body})
    assert (shown.get("webhook"), shown.get("webhook_events_filter")) == (webhook, events)


async def test_whoever_waits_gets_the_ended_prediction(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {}}
    asking = asyncio.create_task(client.post(PATH, json=body, headers={"Prefer": "wait=10"}))
    row = await until(lambda: newest(rows))
    await end(rows, await rows.claimed(row), output="here")
    answer = await asking
    assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (201, "succeeded", "here")
    assert answer.headers["preference-applied"] == "wait=10"


async def test_whoever_waits_in_vain_gets_the_prediction_as_it_was_accepted(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    body = {"version": rows.version_id, "input": {}}
    asking = asyncio.create_task(client.post(PATH, json=body, headers={"Prefer": "wait=0.1"}))
    await rows.claimed(await until(lambda: newest(rows)))
    answer = await asking
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert answer.headers["preference-applied"] == "wait=1"


async def test_who_does_not_want_to_wait_does_not(client: httpx.AsyncClient, rows: Rows) -> None:
    answer = await client.post(PATH, json={"version": rows.version_id, "input": {}}, headers={"Prefer": "wait=soon"})
    assert answer.status_code == 201
    assert "preference-applied" not in answer.headers


async def test_preferences_in_several_header_lines_are_all_read(client: httpx.AsyncClient, rows: Rows) -> None:
    headers = [("Prefer", "respond-async"), ("Prefer", "wait=1")]
    answer = await client.post(PATH, json={"version": rows.version_id, "input": {}}, headers=headers)
    assert answer.headers.get("preference-applied") == "wait=1"


async def test_canceling_what_waits_ends_it_and_doing_so_again_changes_nothing(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    row = await rows.waiting()
    first = await client.post(f"{PATH}/{row.id}/cancel")
    second = await client.post(f"{PATH}/{row.id}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "canceled")
    assert second.json() == first.json()


async def test_canceling_what_runs_answers_when_its_worker_has_stopped(client: httpx.AsyncClient, rows: Rows) -> None:
    row = await rows.running()
    asking = asyncio.create_task(client.post(f"{PATH}/{row.id}/cancel"))
    await until(lambda: _is_to_be_canceled(rows, row.id))
    await end(rows, row, Status.CANCELED, None)
    assert (await asking).json()["status"] == "canceled"


async def _is_to_be_canceled(rows: Rows, prediction_id: str) -> bool:
    return (await rows.prediction(prediction_id)).cancel_requested_at is not None


async def test_an_ended_stream_is_told_from_the_row_and_resumed_at_any_event(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows
) -> None:
    row = await rows.running(streams=True)
    await end(rows, row, output=["a", "b\nc", ""])
    await redis.flushdb()
    address = f"/v1/streams/{row.id}{row.stream_token}"
    whole = (await client.get(address)).text
    assert "event: output\nid: 1:0\ndata: a\n\nevent: output\nid: 1:1\ndata: b\ndata: c\n\n" in whole
    assert whole.endswith("event: output\nid: 1:2\ndata: \n\nevent: done\nid: 1:3\ndata: {}\n\n")
    rest = (await client.get(address, headers={"Last-Event-ID": "1:1"})).text
    assert rest.endswith(": hi\n\nevent: output\nid: 1:2\ndata: \n\nevent: done\nid: 1:3\ndata: {}\n\n")
    for last_id, heard in (("1:3", ": hi\n\nevent: done\nid: 1:3\ndata: {}\n\n"), ("1:4", whole), ("2:0", whole)):
        assert (await client.get(address, headers={"Last-Event-ID": last_id})).text == heard


async def test_a_stream_that_is_resumed_after_the_prediction_was_begun_again_says_so(
    client: httpx.AsyncClient, redis: RedisPool, rows: Rows
) -> None:
    row = await rows.claimed(await rows.redelivered(await rows.running(streams=True)))
    await end(rows, row, output=["c", "d"])
    address = f"/v1/streams/{row.id}{row.stream_token}"
    resumed = (await client.get(address, headers={"Last-Event-ID": "1:0"})).text
    assert resumed.startswith(": hi\n\nevent: error\nid: 2:-2\n")
    assert "The prediction was started again." in resumed
    assert resumed.endswith('event: done\nid: 2:-1\ndata: {"reason": "error"}\n\n')
    assert "event: output" not in resumed
    assert "data: c\n" in (await client.get(address)).text


async def test_a_stream_needs_no_token_but_its_whole_address(client: httpx.AsyncClient, rows: Rows) -> None:
    row = await rows.running(streams=True)
    await end(rows, row, output=[])
    del client.headers["authorization"]
    assert (await client.get(f"/v1/streams/{row.id}{row.stream_token}")).status_code == 200
    for wrong in (row.id, row.id + "x", row.id + row.stream_token[:-1], row.stream_token + row.id):
        assert (await client.get(f"/v1/streams/{wrong}")).status_code == 404
    silent = await rows.waiting()
    assert (await client.get(f"/v1/streams/{silent.id}None")).status_code == 404


async def test_predictions_are_accepted_although_redis_is_away(settings: Settings, database: Database) -> None:
    rows = await Rows.made(database)
    await rows.add_token()
    nowhere = f"unix://{settings.home / 'nobody.sock'}"
    async with serving(settings.model_copy(update={"redis_url": nowhere})) as client:
        shown = await created(client, {"version": rows.version_id, "input": {}})
        assert (await rows.prediction(shown["id"])).status == Status.STARTING
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"database": True, "redis": False})


async def test_a_waiting_answer_is_right_although_redis_is_away(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.waiting.LOOK_AGAIN_SECONDS", 0.01)
    rows = await Rows.made(database)
    row = await rows.running(streams=True)
    await rows.add_token()
    nowhere = f"unix://{settings.home / 'nobody.sock'}"
    async with serving(settings.model_copy(update={"redis_url": nowhere})) as client:
        asking = asyncio.create_task(client.post(f"{PATH}/{row.id}/cancel"))
        await until(lambda: _is_to_be_canceled(rows, row.id))
        await end(rows, row, Status.CANCELED, ["a"])
        assert (await asking).json()["status"] == "canceled"
        assert "data: a\n" in (await client.get(f"/v1/streams/{row.id}{row.stream_token}")).text


async def test_a_version_whose_schema_cannot_be_checked_breaks_nothing_else(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    version_id = await rows.add_version()
    broken = {"components": {"schemas": {"Input": {"$ref": "#/nowhere"}}}}
    await rows.change(Version, Version.id == version_id, openapi_schema=broken)
    answer = await client.post(PATH, json={"version": version_id, "input": {}})
    assert answer.status_code == 422
    assert (await client.post(PATH, json={"version": rows.version_id, "input": {}})).status_code == 201


async def test_the_token_that_one_client_sends_in_the_input_is_kept_nowhere(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool, capfd: pytest.CaptureFixture[str]
) -> None:
    """replicate-javascript 1.4.0 sends itself, with its token, where files are to go as data URLs."""
    takes_all = {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": True}
    version_id = await rows.add_version(openapi_schema={"components": {"schemas": {"Input": takes_all}}})
    leaking = {"auth": TOKEN, "userAgent": "replicate-javascript/1.4.0", "text": "hi"}
    for version in (rows.version_id, version_id):
        for headers in ({}, {"Idempotency-Key": version}):
            body = {"version": version, "input": leaking, "webhook": HOOK}
            answer = await client.post(PATH, json=body, headers=headers)
            assert answer.status_code == 201
            assert "auth" not in answer.json()["input"]
            assert TOKEN not in str(await rows.prediction(answer.json()["id"]))
    refused = await client.post(PATH, json={"version": version_id, "input": leaking | {"text": 5}})
    assert refused.status_code == 422
    assert TOKEN not in refused.text
    assert not [key for key in await redis.keys("*") if TOKEN.encode() in (await redis.dump(key) or b"")]
    assert TOKEN not in "".join(capfd.readouterr())


async def test_an_input_called_auth_that_is_not_the_token_is_an_input(client: httpx.AsyncClient, rows: Rows) -> None:
    schema = {"type": "object", "properties": {"auth": {"type": "string"}}}
    version_id = await rows.add_version(openapi_schema={"components": {"schemas": {"Input": schema}}})
    shown = await created(client, {"version": version_id, "input": {"auth": "hello"}})
    assert shown["input"] == {"auth": "hello"}


async def test_whoever_waits_in_vain_is_told_where_to_look(client: httpx.AsyncClient, rows: Rows) -> None:
    answer = await client.post(PATH, json={"version": rows.version_id, "input": {}}, headers={"Prefer": "wait=0.1"})
    assert (answer.status_code, answer.headers["location"]) == (202, answer.json()["urls"]["get"])
    assert (answer.json()["status"], "output" in answer.json()) == ("starting", False)


async def test_whoever_waits_is_told_of_a_cancel_at_once(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {}}
    asking = asyncio.create_task(client.post(PATH, json=body, headers={"Prefer": "wait"}))
    row = await until(lambda: newest(rows))
    assert (await client.post(f"{PATH}/{row.id}/cancel")).status_code == 200
    answer = await asking
    assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (201, "canceled", None)
