"""Every change of a prediction's status: who may make it, when it comes too late, and what it owes to whom."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row

from shared import lifecycle, rendering
from shared.contract import TERMINAL, Status, WebhookEvent
from shared.database import Database, Transaction
from shared.lifecycle import Ending, Progress
from shared.live import CancelRequest, Chunk
from shared.queue import DeliverJob, PredictJob, RedisPool
from shared.tables import WebhookMessage
from shared.webhooks import message_id
from tests.database_fixtures import EVERY_EVENT, Rows

HOOK = "http://127.0.0.1:9/hook"
LAST = 2**31 - 1
COMPLETED = WebhookEvent.COMPLETED

Change = Callable[[Transaction, Row[Any]], Awaitable[Any]]


def progress(row: Row[Any], output: Any = None, logs: str = "") -> Progress:
    return Progress(row.id, row.attempt, output, logs, {})


def ending(row: Row[Any], status: Status = Status.SUCCEEDED, output: Any = "done") -> Ending:
    error = "It broke." if status == Status.FAILED else None
    return Ending(row, status, error, progress(row, output), row.started_at)


async def claim(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.claim(transaction, [(row.id, row.delivery)], "late")


async def record(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.record(transaction, progress(row, ["more"]), WebhookEvent.OUTPUT, 99)


async def succeed(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.finish(transaction, ending(row))


async def fail(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.fail(transaction, row, "It broke.", ["half"])


async def cancel(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.cancel(transaction, row.id)


async def cancel_lost(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.cancel_lost(transaction, row, ["half"])


async def redeliver(transaction: Transaction, row: Row[Any]) -> Any:
    return await lifecycle.redeliver(transaction, row)


CHANGES = (claim, record, succeed, fail, cancel, cancel_lost, redeliver)
ENDINGS = (succeed, fail, cancel_lost)


async def done(database: Database, change: Change, row: Row[Any]) -> tuple[Any, list[Any]]:
    """What a change answers, and what Redis was told for it."""
    async with database.transaction() as transaction:
        answer = await change(transaction, row)
    return answer, transaction.outbox


async def test_an_accepted_prediction_waits_and_its_job_goes_to_the_queue(database: Database, rows: Rows) -> None:
    async with database.transaction() as transaction:
        row = await lifecycle.create(transaction, rows.wanted(input={"text": "hi"}))
    assert transaction.outbox == [PredictJob(row.id, 1, rows.version_id, rows.account_id)]
    kept = await rows.prediction(row.id)
    assert kept == row
    assert (kept.status, kept.attempt, kept.delivery, kept.input) == (Status.STARTING, 0, 1, {"text": "hi"})
    assert (kept.started_at, kept.completed_at, kept.stream_token) == (None, None, None)


async def test_only_a_model_that_streams_gets_a_stream_token(rows: Rows) -> None:
    first, second = await rows.waiting(streams=True), await rows.waiting(streams=True)
    assert first.stream_token
    assert first.stream_token not in (second.stream_token, first.id)


async def test_a_claim_begins_the_next_attempt_in_the_name_of_the_worker(database: Database, rows: Rows) -> None:
    row = await rows.waiting()
    claimed = await rows.claimed(row, "alice")
    assert (claimed.status, claimed.attempt, claimed.worker_id) == (Status.PROCESSING, 1, "alice")
    assert claimed.created_at <= claimed.started_at
    assert await rows.prediction(row.id) == claimed


async def test_a_second_claim_of_the_same_delivery_gets_nothing(database: Database, rows: Rows) -> None:
    row = await rows.running("alice")
    assert await done(database, claim, row) == ({}, [])
    assert (await rows.prediction(row.id)).worker_id == "alice"


async def test_of_workers_that_claim_at_once_one_gets_the_prediction(database: Database, rows: Rows) -> None:
    row = await rows.waiting()
    answers = await asyncio.gather(*(done(database, claim, row) for _ in range(6)))
    assert sum(len(claimed) for claimed, _ in answers) == 1
    assert (await rows.prediction(row.id)).attempt == 1


async def test_a_stale_delivery_claims_nothing_and_the_new_one_does(database: Database, rows: Rows) -> None:
    first = await rows.running()
    fresh = await rows.redelivered(first)
    assert (fresh.status, fresh.delivery, fresh.attempt) == (Status.STARTING, 2, 1)
    assert (fresh.worker_id, fresh.started_at) == (None, None)
    assert (await done(database, claim, first))[0] == {}
    claimed = (await done(database, claim, fresh))[0]
    assert claimed[first.id].attempt == 2


async def test_several_are_claimed_at_once_and_only_those_that_wait(database: Database, rows: Rows) -> None:
    waiting = [await rows.waiting(webhook=HOOK) for _ in range(3)]
    gone, taken = await rows.ended(), await rows.running("alice")
    wanted = [(row.id, row.delivery) for row in (*waiting, gone, taken)] + [(waiting[0].id, 7), ("nobody", 1)]
    async with database.transaction() as transaction:
        claimed = await lifecycle.claim(transaction, wanted, "bob")
        for row in claimed.values():
            await lifecycle.tell_start(transaction, row)
    assert set(claimed) == {row.id for row in waiting}
    assert {row.worker_id for row in claimed.values()} == {"bob"}
    assert len([job for job in transaction.outbox if isinstance(job, DeliverJob)]) == 3


async def test_a_running_attempt_saves_what_it_brought_forth(database: Database, rows: Rows) -> None:
    row = await rows.running()
    saved = Progress(row.id, row.attempt, ["a", "b"], "line\n", {"tokens": 2})
    async with database.transaction() as transaction:
        assert await lifecycle.record(transaction, saved, WebhookEvent.OUTPUT, 1)
    kept = await rows.prediction(row.id)
    assert (kept.status, kept.output, kept.logs, kept.metrics) == (
        Status.PROCESSING,
        ["a", "b"],
        "line\n",
        {"tokens": 2},
    )


@pytest.mark.parametrize("change", [record, succeed])
async def test_an_attempt_that_lost_its_lease_writes_nothing(database: Database, rows: Rows, change: Change) -> None:
    old = await rows.running("alice", webhook=HOOK)
    current = await rows.claimed(await rows.redelivered(old), "bob")
    owed = await rows.messages(old.id)
    assert await done(database, change, old) == (False, [])
    assert await rows.prediction(old.id) == current
    assert await rows.messages(old.id) == owed
    assert (await done(database, change, current))[0] is True


@pytest.mark.parametrize("change", [record, succeed])
async def test_an_attempt_writes_nothing_while_its_prediction_waits_again(
    database: Database, rows: Rows, change: Change
) -> None:
    old = await rows.running(webhook=HOOK)
    fresh = await rows.redelivered(old)
    assert await done(database, change, old) == (False, [])
    assert await rows.prediction(old.id) == fresh


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
async def test_the_current_attempt_ends_its_prediction(database: Database, rows: Rows, status: Status) -> None:
    row = await rows.running()
    async with database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending(row, status))
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output) == (status, "done")
    assert ended.error == ("It broke." if status == Status.FAILED else None)
    assert ended.created_at <= ended.started_at <= ended.completed_at


async def test_canceling_what_nobody_has_begun_ends_it_at_once(database: Database, rows: Rows) -> None:
    row = await rows.waiting()
    _, told = await done(database, cancel, row)
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.started_at) == (Status.CANCELED, None)
    assert ended.created_at <= ended.completed_at
    assert told == [Chunk(row.id, 1, 0, [], finished=True)]
    assert (await done(database, claim, row))[0] == {}


async def test_canceling_what_runs_asks_its_worker_and_leaves_the_ending_to_it(database: Database, rows: Rows) -> None:
    row = await rows.running("alice")
    _, told = await done(database, cancel, row)
    asked = await rows.prediction(row.id)
    assert told == [CancelRequest("alice", row.id)]
    assert (asked.status, asked.completed_at) == (Status.PROCESSING, None)
    assert asked.cancel_requested_at is not None
    async with database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending(row, Status.CANCELED, None))
    assert (await rows.prediction(row.id)).status == Status.CANCELED


async def test_canceling_what_does_not_exist_does_nothing(database: Database) -> None:
    async with database.transaction() as transaction:
        await lifecycle.cancel(transaction, "nobody")
    assert transaction.outbox == []


async def test_failing_from_outside_keeps_the_logs_and_what_was_told(database: Database, rows: Rows) -> None:
    row = await rows.running()
    async with database.transaction() as transaction:
        await lifecycle.record(transaction, progress(row, ["ha"], "some logs"), WebhookEvent.OUTPUT, 1)
    await done(database, fail, row)
    failed = await rows.prediction(row.id)
    assert (failed.status, failed.error) == (Status.FAILED, "It broke.")
    assert (failed.output, failed.logs) == (["half"], "some logs")


async def test_what_was_seen_running_is_not_redelivered_once_it_has_moved_on(database: Database, rows: Rows) -> None:
    seen = await rows.running()
    current = await rows.claimed(await rows.redelivered(seen), "bob")
    assert await done(database, redeliver, seen) == (None, [])
    assert await done(database, cancel_lost, seen) == (None, [])
    assert await rows.prediction(seen.id) == current


async def test_of_sweepers_that_redeliver_at_once_one_does(database: Database, rows: Rows) -> None:
    seen = await rows.running()
    answers = await asyncio.gather(*(done(database, redeliver, seen) for _ in range(6)))
    assert sum(fresh is not None for fresh, _ in answers) == 1
    assert (await rows.prediction(seen.id)).delivery == 2


@pytest.mark.parametrize("change", CHANGES)
async def test_a_terminal_prediction_never_changes(database: Database, rows: Rows, change: Change) -> None:
    for status in TERMINAL:
        row = await rows.running(webhook=HOOK)
        sooner = replace(ending(row, status), completed_at=row.started_at - timedelta(seconds=1))
        async with database.transaction() as transaction:
            await lifecycle.finish(transaction, sooner)
        ended, owed = await rows.prediction(row.id), await rows.messages(row.id)
        for seen in (row, ended):
            answer, told = await done(database, change, seen)
            assert await rows.prediction(row.id) == ended
            assert await rows.messages(row.id) == owed
            assert not answer
            assert told == []


async def test_of_endings_that_race_one_counts_and_one_message_is_owed(database: Database, rows: Rows) -> None:
    for _ in range(5):
        row = await rows.running(webhook=HOOK, webhook_events=(COMPLETED,))
        await asyncio.gather(*(done(database, change, row) for change in ENDINGS * 2))
        assert len(await rows.messages(row.id)) == 1
        message = (await rows.messages(row.id))[0]
        assert msgspec.json.decode(message.body)["status"] == (await rows.prediction(row.id)).status


@pytest.mark.parametrize("change", [*ENDINGS, cancel])
async def test_ending_and_completed_message_stand_or_fall_together(
    database: Database, redis: RedisPool, rows: Rows, change: Change
) -> None:
    row = await (rows.waiting if change is cancel else rows.running)(webhook=HOOK, webhook_events=(COMPLETED,))
    await redis.flushdb()

    async def change_my_mind() -> None:
        async with database.transaction() as transaction:
            await change(transaction, row)
            raise ValueError("changed my mind")

    with pytest.raises(ValueError, match="changed my mind"):
        await change_my_mind()
    assert await rows.prediction(row.id) == row
    assert await rows.messages(row.id) == []
    assert await redis.keys("*") == []
    _, told = await done(database, change, row)
    assert (await rows.prediction(row.id)).completed_at is not None
    assert [message.event for message in await rows.messages(row.id)] == [COMPLETED]
    assert DeliverJob(row.id, str(LAST)) in told


async def test_a_prediction_without_webhook_owes_nothing(database: Database, rows: Rows) -> None:
    row = await rows.running()
    await done(database, record, row)
    _, told = await done(database, succeed, row)
    assert await rows.messages(row.id) == []
    assert told == [Chunk(row.id, 1, 0, [], finished=True)]


@pytest.mark.parametrize(
    ("wanted", "owed"),
    [
        (EVERY_EVENT, ["start", "completed"]),
        ((COMPLETED,), ["completed"]),
        ((WebhookEvent.START,), ["start"]),
        ((WebhookEvent.OUTPUT,), ["output"]),
        ((WebhookEvent.LOGS, COMPLETED), ["completed"]),
        ((), []),
    ],
)
async def test_only_the_events_a_client_asked_for_are_told(
    database: Database, rows: Rows, wanted: tuple[WebhookEvent, ...], owed: list[str]
) -> None:
    row = await rows.running(webhook=HOOK, webhook_events=wanted)
    await done(database, record, row)
    before = [message.event for message in await rows.messages(row.id)]
    assert ("output" in before) == (WebhookEvent.OUTPUT in wanted)
    await done(database, succeed, row)
    # A snapshot nobody has sent gives way to the ending, even if that itself is not asked for.
    assert [message.event for message in await rows.messages(row.id) if message.event != "output"] == [
        event for event in owed if event != "output"
    ]


async def test_a_client_that_wants_output_only_gets_the_last_of_it(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK, webhook_events=(WebhookEvent.OUTPUT,))
    await done(database, record, row)
    await done(database, succeed, row)
    assert [message.event for message in await rows.messages(row.id)] == ["output"]


async def test_a_message_holds_the_prediction_as_it_was_then(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK)
    await done(database, succeed, row)
    ended = await rows.prediction(row.id)
    started, completed = await rows.messages(row.id)
    assert msgspec.json.decode(started.body) == rendering.prediction(row, "http://pinion.test")
    assert msgspec.json.decode(completed.body) == rendering.prediction(ended, "http://pinion.test")
    assert (completed.url, completed.account_id, completed.state, completed.attempts) == (
        HOOK,
        rows.account_id,
        "pending",
        0,
    )


async def test_a_newer_snapshot_replaces_one_that_is_still_unsent(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK)
    for number in (1, 2, 3):
        saved, event = progress(row, ["x"] * number), (WebhookEvent.LOGS, WebhookEvent.OUTPUT)[number % 2]
        async with database.transaction() as transaction:
            await lifecycle.record(transaction, saved, event, number)
    first, snapshot = await rows.messages(row.id)
    assert (first.event, snapshot.event) == ("start", "output")
    assert msgspec.json.decode(snapshot.body)["output"] == ["x", "x", "x"]


async def test_the_ending_replaces_unsent_snapshots_but_not_one_under_way(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK)
    await done(database, record, row)
    await rows.change(WebhookMessage, WebhookMessage.event == "output", state="delivering")
    async with database.transaction() as transaction:
        await lifecycle.record(transaction, progress(row, logs="x"), WebhookEvent.LOGS, 100)
    await done(database, succeed, row)
    kept = [(message.event, message.state) for message in await rows.messages(row.id)]
    assert kept == [("start", "pending"), ("output", "delivering"), ("completed", "pending")]


async def test_message_ids_are_the_same_however_often_they_are_made(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK)
    await done(database, record, row)
    ids = {message.event: message.id for message in await rows.messages(row.id)}
    assert ids == {
        "start": message_id(row.id, "start", 1_000_000),
        "output": message_id(row.id, "output", 1_000_099),
    }
    await done(database, succeed, row)
    assert (await rows.messages(row.id))[-1].id == message_id(row.id, "completed", LAST)


async def test_a_second_attempt_has_messages_of_its_own(database: Database, rows: Rows) -> None:
    row = await rows.running(webhook=HOOK)
    again = await rows.claimed(await rows.redelivered(row), "bob")
    await done(database, succeed, again)
    messages = await rows.messages(row.id)
    assert [message.event for message in messages] == ["start", "start", "completed"]
    assert len({message.id for message in messages}) == 3


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
async def test_the_last_word_of_a_stream_stands_behind_every_item(
    database: Database, rows: Rows, status: Status
) -> None:
    row = await rows.running(streams=True)
    async with database.transaction() as transaction:
        await lifecycle.finish(transaction, ending(row, status, ["a", "b", "c"]))
    assert transaction.outbox == [Chunk(row.id, 1, 3, [], finished=True)]


async def test_one_value_however_long_is_not_counted_as_items(database: Database, rows: Rows) -> None:
    row = await rows.running()
    async with database.transaction() as transaction:
        await lifecycle.finish(transaction, ending(row, output="a long text"))
    assert transaction.outbox == [Chunk(row.id, 1, 0, [], finished=True)]


@pytest.mark.parametrize("output", [None, "", 0, False, [], {}, "text", ["a", ""], {"nested": [1, 2.5, None]}])
async def test_every_output_comes_back_as_it_was(database: Database, rows: Rows, output: Any) -> None:
    row = await rows.running()
    async with database.transaction() as transaction:
        await lifecycle.finish(transaction, ending(row, output=output))
    kept = (await rows.prediction(row.id)).output
    assert kept == output
    assert type(kept) is type(output)


@pytest.mark.parametrize("hook", [None, HOOK])
async def test_an_ending_whose_answer_was_lost_is_told_again_and_written_once(
    database: Database, rows: Rows, hook: str | None
) -> None:
    row = await rows.running(webhook=hook, streams=True)
    told = []
    for _ in range(2):
        async with database.transaction() as transaction:
            assert await lifecycle.finish(transaction, ending(row, output=["done"]))
            told.append(list(transaction.outbox))
    assert told[0] == told[1]
    assert len(told[0]) == (2 if hook else 1)
    assert [message.event for message in await rows.messages(row.id)].count("completed") == (1 if hook else 0)
    async with database.transaction() as transaction:
        assert not await lifecycle.finish(transaction, ending(row, Status.FAILED))
        assert transaction.outbox == []
