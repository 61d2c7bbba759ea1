"""What becomes of a prediction that its worker has not ended: by its model's policy, and in words that are true."""

from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Row

from api import waiting
from shared import lifecycle
from shared.contract import Kind, Rerun, Status, WebhookEvent
from shared.database import Database, clock
from shared.ids import new_id
from shared.lifecycle import Ending, Progress
from shared.live import Chunk, Feed
from shared.settings import Settings
from shared.tables import Model, Prediction
from tests.database_fixtures import Rows
from worker.presence import Presence
from worker.sweep import Sweep

HOOK = "http://127.0.0.1:9/"
LOST = "nobody"
NEVER_AGAIN = "before the prediction had ended, and this model's predictions are not run again by themselves."
MOMENTS = ("waiting", "running", "ended")
AFTER_OUTPUT = "after output had started, so the prediction was not run again."


@pytest.fixture
def sweep(settings: Settings, database: Database) -> Sweep:
    return Sweep(settings, database, new_id())


@pytest.fixture
def presence(settings: Settings, database: Database, feed: Feed) -> Presence:
    return Presence(settings, database, feed, list, list, dict)


async def set_policy(rows: Rows, rerun: Rerun) -> None:
    await rows.change(Model, Model.id == rows.model_id, rerun=rerun)


async def lost(rows: Rows, *, has_output: bool, worker_id: str = LOST, **changes: Any) -> Row[Any]:
    """A prediction that has told something before its worker went, or logs alone."""
    row = await rows.running(worker_id, streams=True, **changes)
    told = Progress(row.id, row.attempt, ["half"] if has_output else None, "some logs", {"tokens": 1})
    async with rows.database.transaction() as transaction:
        assert await lifecycle.record(transaction, told, WebhookEvent.OUTPUT, 1)
    return row


@pytest.mark.parametrize(
    ("rerun", "has_output", "words"),
    [
        (Rerun.NEVER, False, NEVER_AGAIN),
        (Rerun.NEVER, True, NEVER_AGAIN),
        (Rerun.BEFORE_OUTPUT, False, None),
        (Rerun.BEFORE_OUTPUT, True, AFTER_OUTPUT),
        (Rerun.ALWAYS, False, None),
        (Rerun.ALWAYS, True, None),
    ],
)
async def test_what_a_lost_worker_had_is_run_again_as_its_model_says(
    rows: Rows, sweep: Sweep, rerun: Rerun, has_output: bool, words: str | None
) -> None:
    await set_policy(rows, rerun)
    row = await lost(rows, has_output=has_output)
    await sweep.tick()
    after = await rows.prediction(row.id)
    if words:
        assert (after.status, after.error) == (
            Status.FAILED,
            f"The worker was lost {words} Create it again to retry.",
        )
        assert (after.output, after.logs) == (["half"] if has_output else None, "some logs")
    else:
        assert (after.status, after.delivery, after.worker_id) == (Status.STARTING, 2, None)
        assert (after.output, after.logs, after.metrics, after.error) == (None, "", {}, None)


@pytest.mark.parametrize(("rerun", "words"), [(Rerun.NEVER, NEVER_AGAIN), (Rerun.BEFORE_OUTPUT, AFTER_OUTPUT)])
async def test_what_a_worker_had_that_was_told_to_stop_fails_in_words_that_say_so(
    rows: Rows, sweep: Sweep, presence: Presence, rerun: Rerun, words: str
) -> None:
    await set_policy(rows, rerun)
    async with presence.announced():
        row = await lost(rows, has_output=True, worker_id=presence.id)
    await sweep.tick()
    assert (await rows.prediction(row.id)).error == f"The worker was stopped {words} Create it again to retry."


async def test_what_a_worker_gave_back_that_goes_on_is_called_neither_lost_nor_stopped(
    rows: Rows, sweep: Sweep
) -> None:
    await set_policy(rows, Rerun.NEVER)
    row = await lost(rows, has_output=False)
    async with rows.database.transaction() as transaction:
        assert await lifecycle.disown(transaction, row)
    await sweep.tick()
    failed = await rows.prediction(row.id)
    assert failed.error == f"The worker could not go on {NEVER_AGAIN} Create it again to retry."


async def test_the_new_attempt_and_its_webhooks_have_nothing_of_the_one_before(rows: Rows, sweep: Sweep) -> None:
    await set_policy(rows, Rerun.ALWAYS)
    row = await lost(rows, has_output=True, webhook=HOOK)
    await sweep.tick()
    again = await rows.claimed(await rows.prediction(row.id))
    assert (again.attempt, again.output, again.logs, again.metrics) == (2, None, "", {})
    *_, start = [each for each in await rows.messages(row.id) if each.event == "start"]
    told = msgspec.json.decode(start.body)
    assert told["logs"] == ""
    assert "output" not in told
    stale = Progress(row.id, row.attempt, ["half", "more"], "zombie", {})
    async with rows.database.transaction() as transaction:
        assert not await lifecycle.record(transaction, stale, WebhookEvent.OUTPUT, 2)
    assert await rows.prediction(row.id) == again


async def test_one_that_is_always_begun_again_is_given_up_after_so_many_workers(rows: Rows, sweep: Sweep) -> None:
    await set_policy(rows, Rerun.ALWAYS)
    row = await lost(rows, has_output=True)
    await rows.change(Prediction, Prediction.id == row.id, attempt=20)
    await sweep.tick()
    failed = await rows.prediction(row.id)
    assert (failed.status, failed.output) == (Status.FAILED, ["half"])
    assert "died again and again" in failed.error


@pytest.mark.parametrize("rerun", Rerun)
async def test_a_cancel_and_a_deadline_come_before_every_policy(rows: Rows, sweep: Sweep, rerun: Rerun) -> None:
    await set_policy(rows, rerun)
    canceled, overdue = [await lost(rows, has_output=True, lifetime_seconds=60.0) for _ in range(2)]
    async with rows.database.transaction() as transaction:
        await lifecycle.cancel(transaction, canceled.id)
    await rows.change(Prediction, Prediction.id == overdue.id, deadline=clock(-1))
    await sweep.tick()
    for row in (canceled, overdue):
        ended = await rows.prediction(row.id)
        assert (ended.status, ended.output) == (Status.CANCELED, ["half"])


async def test_the_policy_of_a_model_holds_after_its_end_too(rows: Rows, sweep: Sweep) -> None:
    await set_policy(rows, Rerun.NEVER)
    row = await lost(rows, has_output=False)
    await rows.change(Model, Model.id == rows.model_id, removed_at=clock())
    await sweep.tick()
    assert (await rows.prediction(row.id)).status == Status.FAILED


async def test_a_training_has_the_policy_of_its_model_until_only_the_build_is_left(rows: Rows, sweep: Sweep) -> None:
    await set_policy(rows, Rerun.NEVER)
    training = {"kind": Kind.TRAINING, "destination": "pinion/tuned", "has_output": False}
    trains, builds = await lost(rows, **training), await lost(rows, **training)
    made = await rows.add_version()
    await rows.change(Prediction, Prediction.id == builds.id, trained_version_id=made)
    await sweep.tick()
    assert NEVER_AGAIN in (await rows.prediction(trains.id)).error
    waiting = await rows.prediction(builds.id)
    assert (waiting.status, waiting.logs, waiting.metrics) == (Status.STARTING, "some logs", {"tokens": 1})


async def test_what_an_attempt_has_streamed_is_no_output_of_the_next_one(
    rows: Rows, database: Database, sweep: Sweep
) -> None:
    await set_policy(rows, Rerun.ALWAYS)
    row = await rows.running(LOST, streams=True)
    await database.send([Chunk(row.id, 1, 0, ["seen"])])
    await sweep.tick()
    again = await rows.claimed(await rows.prediction(row.id))
    await rows.change(Prediction, Prediction.id == row.id, worker_id=LOST)
    await set_policy(rows, Rerun.BEFORE_OUTPUT)
    await sweep.tick()
    assert again.attempt == 2
    assert (await rows.prediction(row.id)).status == Status.STARTING


async def begun_again(rows: Rows, sweep: Sweep, row: Row[Any], moment: str) -> None:
    """What was lost with two items is always begun again, and has come so far with one."""
    await set_policy(rows, Rerun.ALWAYS)
    await sweep.tick()
    if moment == "waiting":
        return
    again = await rows.claimed(await rows.prediction(row.id), "another")
    await rows.database.send([Chunk(row.id, 2, 0, ["new"])])
    if moment == "ended":
        progress = Progress(row.id, 2, ["new"], "", {})
        async with rows.database.transaction() as transaction:
            assert await lifecycle.finish(
                transaction, Ending(again, Status.SUCCEEDED, None, progress, again.started_at)
            )


async def lost_with_two_items(rows: Rows) -> Row[Any]:
    row = await rows.running(LOST, streams=True)
    await rows.database.send([Chunk(row.id, 1, 0, ["old"]), Chunk(row.id, 1, 1, ["older"])])
    return row


@pytest.mark.parametrize("moment", MOMENTS)
async def test_who_follows_a_stream_hears_that_it_was_begun_again_and_no_item_of_two_attempts(
    rows: Rows, sweep: Sweep, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr("api.waiting.LOOK_AGAIN_SECONDS", 0.05)
    row = await lost_with_two_items(rows)
    services = client._transport.app.state.services  # type: ignore[attr-defined]
    told = waiting.output_items(services, row, 1, 0)
    first, second = await anext(told), await anext(told)
    assert (first, second) == (Chunk(row.id, 1, 0, ["old"]), Chunk(row.id, 1, 1, ["older"]))
    await begun_again(rows, sweep, row, moment)
    *pauses, last = [each async for each in told]
    assert set(pauses) <= {None}
    assert waiting.attempt_of(last) == 2


@pytest.mark.parametrize("seen", ["1:0", "1:1"])
@pytest.mark.parametrize("moment", MOMENTS)
async def test_who_resumes_a_stream_hears_that_it_was_begun_again_and_gets_all_of_it_next_time(
    rows: Rows, sweep: Sweep, client: httpx.AsyncClient, moment: str, seen: str
) -> None:
    row = await lost_with_two_items(rows)
    await begun_again(rows, sweep, row, moment)
    address = f"/v1/streams/{row.id}{row.stream_token}"
    resumed = (await client.get(address, headers={"Last-Event-ID": seen})).text
    assert resumed == (
        ': hi\n\nevent: error\nid: 2:-2\ndata: {"detail": "The prediction was started again."}\n\n'
        'event: done\nid: 2:-1\ndata: {"reason": "error"}\n\n'
    )
    if moment == "ended":
        for last_id in ("2:-2", "2:-1"):
            again = (await client.get(address, headers={"Last-Event-ID": last_id})).text
            assert again == ": hi\n\nevent: output\nid: 2:0\ndata: new\n\nevent: done\nid: 2:1\ndata: {}\n\n"


async def test_of_one_that_is_canceled_before_it_begins_again_nothing_is_streamed(
    rows: Rows, sweep: Sweep, client: httpx.AsyncClient
) -> None:
    row = await lost_with_two_items(rows)
    await begun_again(rows, sweep, row, "waiting")
    async with rows.database.transaction() as transaction:
        await lifecycle.cancel(transaction, row.id)
    address = f"/v1/streams/{row.id}{row.stream_token}"
    for seen in ({}, {"Last-Event-ID": "1:1"}):  # who has items of the former attempt hears of no other that began
        heard = (await client.get(address, headers=seen)).text
        assert "event: output" not in heard
        assert "event: error" not in heard
        assert heard.endswith('data: {"reason": "canceled"}\n\n')
