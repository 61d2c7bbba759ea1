"""What is sent again and when, if a prediction's `completed` has been delivered or is still owed."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import Row

from shared import lifecycle, webhook_messages
from shared.contract import Status, WebhookEvent
from shared.database import Database
from shared.lifecycle import Ending, Progress
from tests.database_fixtures import LONG_AGO, Rows
from tests.receiver import Receiver
from worker.deliver import Sender

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""


async def end(database: Database, row: Row[Any]) -> None:
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, ["a", "b"], "", {}), datetime.now(UTC))
    async with database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)


async def states(rows: Rows, row: Row[Any]) -> dict[str, str]:
    return {message.event: message.state for message in await rows.messages(row.id)}


def told(receiver: Receiver) -> list[str]:
    return [delivery.json["status"] for delivery in receiver.deliveries]


@pytest_asyncio.fixture
async def overtaken(database: Database, rows: Rows, sender: Sender, receiver: Receiver) -> Row[Any]:
    """A prediction whose `start` was given up, and whose `completed` was delivered after it."""
    row = await rows.running(webhook=receiver.url, webhook_events=(WebhookEvent.START, WebhookEvent.COMPLETED))
    receiver.answers = [500]
    await sender.deliver(NO_QUEUE, row.id)
    await end(database, row)
    await sender.deliver(NO_QUEUE, row.id)
    assert await states(rows, row) == {"start": "dead", "completed": "delivered"}
    return row


async def test_a_replay_of_all_leaves_out_what_an_ending_has_overtaken(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver, overtaken: Row[Any]
) -> None:
    for state, number in (("dead", 0), ("delivered", 1)):
        replayed = await client.post("/v1/webhooks/replay", json={"since": LONG_AGO.isoformat(), "state": state})
        assert replayed.json() == {"replayed": number}
        await sender.deliver(NO_QUEUE, overtaken.id)
    assert told(receiver) == ["processing", "succeeded", "succeeded"]
    assert await states(rows, overtaken) == {"start": "dead", "completed": "delivered"}


async def test_a_single_message_is_sent_again_also_after_the_ending_which_is_not_repeated(
    rows: Rows, sender: Sender, receiver: Receiver, overtaken: Row[Any]
) -> None:
    start, _ = await rows.messages(overtaken.id)
    await webhook_messages.replay(rows.database, start)
    await sender.deliver(NO_QUEUE, overtaken.id)
    assert told(receiver) == ["processing", "succeeded", "processing"]
    assert await states(rows, overtaken) == {"start": "delivered", "completed": "delivered"}


async def test_a_snapshot_that_is_replayed_comes_before_an_ending_that_is_still_owed(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    row = await rows.running(webhook=receiver.url, webhook_events=(WebhookEvent.OUTPUT, WebhookEvent.COMPLETED))
    async with database.transaction() as transaction:
        await lifecycle.record(transaction, Progress(row.id, row.attempt, ["a"], "", {}), WebhookEvent.OUTPUT, 1)
    await sender.deliver(NO_QUEUE, row.id)
    [snapshot] = await rows.messages(row.id)
    await webhook_messages.replay(database, snapshot)
    await end(database, row)
    await sender.deliver(NO_QUEUE, row.id)
    assert told(receiver) == ["processing", "processing", "succeeded"]
    assert [delivery.headers["webhook-id"] for delivery in receiver.deliveries][:2] == [snapshot.id] * 2
    assert await states(rows, row) == {"output": "delivered", "completed": "delivered"}
