"""A prediction with a deadline ends by it: waiting or running, whether its worker lives or not."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Row

from shared import accounts, lifecycle
from shared.contract import Status, WebhookEvent
from shared.database import Database, clock
from shared.errors import RequestError
from shared.ids import new_id
from shared.lifecycle import Ending, Progress
from shared.live import CancelRequest
from shared.settings import Settings
from shared.tables import Account, Prediction
from tests.database_fixtures import Rows
from worker.sweep import Sweep

PATH = "/v1/predictions"
HOOK = "http://127.0.0.1:9/hook"


@pytest.fixture
def sweep(settings: Settings, database: Database) -> Sweep:
    return Sweep(settings, database, new_id())


async def overdue(rows: Rows, row: Row[Any]) -> Row[Any]:
    """As if so much time had passed."""
    await rows.change(Prediction, Prediction.id == row.id, deadline=clock(-1))
    return await rows.prediction(row.id)


async def test_cancel_after_is_a_deadline_from_the_moment_of_creation(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {}}
    made = (await client.post(PATH, json=body, headers={"Cancel-After": "1h30m"})).json()
    row = await rows.prediction(made["id"])
    assert abs(row.deadline - row.created_at - timedelta(minutes=90)) < timedelta(seconds=1)
    shown = (await client.get(f"{PATH}/{row.id}")).json()
    assert made["deadline"] == shown["deadline"]
    assert shown["deadline"].endswith("Z")
    assert "deadline" not in (await client.post(PATH, json=body)).json()


async def test_a_lifetime_that_cannot_be_meant_makes_nothing(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {}}
    answer = await client.post(PATH, json=body, headers={"Cancel-After": "banana"})
    assert (answer.status_code, answer.json()["invalid_fields"][0]["field"]) == (422, "Cancel-After")
    assert (await client.get(PATH)).json()["results"] == []


async def test_what_waits_beyond_its_deadline_is_aborted_and_its_receiver_told(rows: Rows, sweep: Sweep) -> None:
    row = await overdue(rows, await rows.waiting(lifetime_seconds=60, webhook=HOOK))
    await sweep.tick()
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.started_at, ended.output) == (Status.ABORTED, None, None)
    assert "deadline" in ended.error
    assert ended.completed_at > ended.created_at
    [completed] = await rows.messages(row.id)
    assert completed.event == WebhookEvent.COMPLETED
    assert b'"status":"canceled"' in completed.body


async def test_what_waits_longer_than_predictions_may_is_aborted_and_its_receiver_told(
    rows: Rows, settings: Settings, database: Database
) -> None:
    late, early = await rows.waiting(webhook=HOOK), await rows.waiting()
    running = await rows.running()
    for row in (late, running):
        await rows.change(Prediction, Prediction.id == row.id, queued_at=clock(-3601))
    await rows.change(Prediction, Prediction.id == running.id, worker_id=None)
    await Sweep(settings, database, new_id())._end_what_waits_too_long()
    assert (await rows.prediction(late.id)).status == Status.STARTING  # as long as it takes
    await Sweep(settings.model_copy(update={"queue_seconds": 3600}), database, new_id())._end_what_waits_too_long()
    ended = await rows.prediction(late.id)
    assert (ended.status, ended.error) == (
        Status.ABORTED,
        "The prediction was not started within 3600 s, the longest it may wait here.",
    )
    assert [message.event for message in await rows.messages(late.id)] == [WebhookEvent.COMPLETED]
    assert (await rows.prediction(early.id)).status == Status.STARTING
    assert (await rows.prediction(running.id)).status == Status.PROCESSING


async def test_what_has_time_is_left_alone(rows: Rows, sweep: Sweep) -> None:
    waiting, running = await rows.waiting(lifetime_seconds=60), await rows.running(lifetime_seconds=60)
    await rows.change(Prediction, Prediction.id == running.id, worker_id=None)
    await sweep._end_overdue()
    assert await rows.prediction(waiting.id) == waiting
    assert (await rows.prediction(running.id)).status == Status.PROCESSING


async def test_nobody_can_begin_what_is_past_its_deadline(database: Database, rows: Rows) -> None:
    row = await overdue(rows, await rows.waiting(lifetime_seconds=60))
    async with database.transaction() as transaction:
        assert await lifecycle.claim(transaction, [(row.id, row.delivery)], "late") == {}
    assert await rows.prediction(row.id) == row


async def test_the_worker_of_what_runs_is_asked_to_stop_it_once(database: Database, rows: Rows) -> None:
    row = await overdue(rows, await rows.running("alice", lifetime_seconds=60))
    told = []
    for _ in range(2):
        async with database.transaction() as transaction:
            await lifecycle.expire(transaction, row.id)
        told += transaction.outbox
    assert told == [CancelRequest("alice", row.id)]
    asked = await rows.prediction(row.id)
    assert (asked.status, asked.completed_at) == (Status.PROCESSING, None)
    assert asked.cancel_requested_at is not None


async def test_what_came_back_into_the_queue_while_it_was_being_canceled_ends_too(
    database: Database, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.running("dead", lifetime_seconds=60)
    async with database.transaction() as transaction:
        await lifecycle.cancel(transaction, row.id)
    await overdue(rows, await rows.redelivered(row))
    await sweep.tick()
    assert (await rows.prediction(row.id)).status == Status.ABORTED


async def test_what_ran_into_its_deadline_under_a_worker_that_died_is_canceled(rows: Rows, sweep: Sweep) -> None:
    row = await overdue(rows, await rows.running("dead", lifetime_seconds=60))
    await sweep.tick()
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.error) == (Status.CANCELED, None)


async def test_what_ended_in_time_stays_as_it_is(database: Database, rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(lifetime_seconds=60)
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, "done", "", {}), row.started_at)
    async with database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)
    ended = await overdue(rows, row)
    await sweep.tick()
    assert await rows.prediction(row.id) == ended


@pytest.mark.parametrize(("is_shown", "status"), [(True, "aborted"), (False, "canceled")])
async def test_aborted_is_shown_to_accounts_that_ask_for_it(
    client: httpx.AsyncClient, database: Database, rows: Rows, sweep: Sweep, is_shown: bool, status: str
) -> None:
    await accounts.show_aborted(database, rows.username, is_shown=is_shown)
    body = {"version": rows.version_id, "input": {}, "webhook": HOOK}
    made = (await client.post(PATH, json=body, headers={"Cancel-After": "5"})).json()
    await overdue(rows, await rows.prediction(made["id"]))
    await sweep.tick()
    assert (await client.get(f"{PATH}/{made['id']}")).json()["status"] == status
    assert f'"status":"{status}"'.encode() in (await rows.messages(made["id"]))[-1].body
    for asked in ("aborted", "canceled"):
        listed = (await client.get(PATH, params={"status": asked})).json()["results"]
        assert [entry["status"] for entry in listed] == ([status] if asked == status else [])


async def test_an_account_that_is_not_there_cannot_ask_for_anything(database: Database, rows: Rows) -> None:
    with pytest.raises(RequestError, match="no account nobody"):
        await accounts.show_aborted(database, "nobody", is_shown=True)
    assert not (await rows.one(Account, Account.id == rows.account_id)).shows_aborted


async def test_the_stream_of_what_was_aborted_ends(client: httpx.AsyncClient, rows: Rows, sweep: Sweep) -> None:
    row = await overdue(rows, await rows.waiting(lifetime_seconds=60, streams=True))
    await sweep.tick()
    text = (await client.get(f"/v1/streams/{row.id}{row.stream_token}")).text
    assert text.endswith('event: done\nid: 0:0\ndata: {"reason": "canceled"}\n\n')
