"""What the log of a message tells of each attempt: what began it, where it was sent, and which secrets signed it."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import httpx
from sqlalchemy import Row, text

from shared.contract import WebhookEvent
from shared.database import Database, clock
from shared.ids import new_id
from shared.tables import WebhookMessage
from tests.database_fixtures import Rows
from tests.listener import Listener, hanging, hanging_up
from tests.receiver import Receiver, receiving
from worker.deliver import Sender
from worker.outbound import Outbound

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""
COMPLETED = (WebhookEvent.COMPLETED,)


def key_id(secret: str) -> str:
    """As receivers are told to make it of what they have."""
    return sha256(secret.encode()).hexdigest()[:8]


async def log_of(client: httpx.AsyncClient, prediction_id: str) -> list[dict[str, Any]]:
    """Of its only message."""
    [message] = (await client.get("/v1/webhooks/messages", params={"prediction": prediction_id})).json()["results"]
    seen: Mapping[str, Any] = (await client.get(f"/v1/webhooks/messages/{message['id']}")).json()
    return list(seen["log"])


async def owing(rows: Rows, url: str) -> Row[Any]:
    return await rows.ended(webhook=url, webhook_events=COMPLETED)


async def send(rows: Rows, sender: Sender, row: Row[Any]) -> None:
    """What a prediction owes, whenever it would be due."""
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, next_attempt_at=clock(-0.001))
    await sender.deliver(NO_QUEUE, row.id)


async def test_each_attempt_tells_whether_its_schedule_or_a_replay_began_it(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers = [500, 200, 500, 200]
    row = await owing(rows, receiver.url)
    for _ in range(2):
        await send(rows, sender, row)
    [message] = await rows.messages(row.id)
    assert (await client.post(f"/v1/webhooks/messages/{message.id}/replay")).status_code == 202
    for _ in range(2):
        await send(rows, sender, row)
    told = [(attempt["number"], attempt["trigger"], attempt["status"]) for attempt in await log_of(client, row.id)]
    assert told == [(1, "scheduled", 500), (2, "scheduled", 200), (3, "replay", 500), (4, "replay", 200)]


async def test_the_attempt_of_a_test_says_that_it_is_one(
    client: httpx.AsyncClient, sender: Sender, receiver: Receiver
) -> None:
    endpoint = (await client.post("/v1/webhooks/endpoints", json={"url": receiver.url})).json()["id"]
    fired = (await client.post(f"/v1/webhooks/endpoints/{endpoint}/test")).json()["id"]
    await sender.deliver(NO_QUEUE, endpoint)
    [attempt] = (await client.get(f"/v1/webhooks/messages/{fired}")).json()["log"]
    assert (attempt["trigger"], attempt["status"]) == ("test", 200)


async def test_an_attempt_names_the_secrets_that_signed_it_the_newest_first_and_shows_none(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    before = await owing(rows, receiver.url)
    await send(rows, sender, before)
    newest = (await client.post("/v1/webhooks/default/secret/rotate", json={})).json()["key"]
    sender._secrets.clear()
    during = await owing(rows, receiver.url)
    await send(rows, sender, during)
    signed_by = [(await log_of(client, row.id))[0]["signed_by"] for row in (before, during)]
    assert signed_by == [[key_id(rows.secret)], [key_id(newest), key_id(rows.secret)]]


async def test_an_attempt_tells_the_address_also_over_a_kept_connection_and_without_an_answer(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, listener: Listener
) -> None:
    first, kept, silent, rude = [await owing(rows, listener.url("localhost")) for _ in range(4)]
    for row in (first, kept):
        await send(rows, sender, row)
    assert listener.connections == 1
    listener.behaviour = hanging
    sender.settings = sender.settings.model_copy(update={"webhook_timeout_seconds": 0.2})
    await send(rows, sender, silent)
    assert listener.connections == 1, "what was kept"
    listener.behaviour = hanging_up
    await send(rows, sender, rude)
    told = {row.id: (await log_of(client, row.id))[0] for row in (first, kept, silent, rude)}
    assert {attempt["address"] for attempt in told.values()} == {"127.0.0.1"}
    assert [told[row.id]["status"] for row in (first, kept, silent, rude)] == [200, 200, None, None]


async def test_an_attempt_tells_what_could_not_be_connected_to(
    client: httpx.AsyncClient, rows: Rows, sender: Sender
) -> None:
    with receiving() as gone:
        row = await owing(rows, gone.url)
    await send(rows, sender, row)
    [attempt] = await log_of(client, row.id)
    assert (attempt["address"], attempt["status"]) == ("127.0.0.1", None)


async def test_where_nothing_was_connected_to_no_address_is_told_but_who_had_signed(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    await send(rows, sender, await owing(rows, receiver.url))
    row = await owing(rows, receiver.url)
    async with Outbound(()) as guarded:
        await send(rows, Sender(sender.settings, rows.database, guarded, new_id()), row)
    [attempt] = await log_of(client, row.id)
    assert (attempt["answer"], attempt["address"]) == ("address not allowed by policy", None)
    assert attempt["signed_by"] == [key_id(rows.secret)]


async def test_a_turn_that_passed_was_sent_nowhere_and_signed_by_nothing(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers = [410]
    await send(rows, sender, await owing(rows, receiver.url))
    row = await owing(rows, receiver.url)
    await send(rows, sender, row)
    [attempt] = await log_of(client, row.id)
    assert attempt["answer"].startswith("not sent")
    assert (attempt["address"], attempt["signed_by"], attempt["trigger"]) == (None, [], "scheduled")


async def test_an_attempt_noted_by_the_release_before_says_what_it_can(
    client: httpx.AsyncClient, database: Database, rows: Rows
) -> None:
    row = await owing(rows, "https://receiver.example")
    [message] = await rows.messages(row.id)
    note = text(
        "INSERT INTO webhook_attempts (message_id, number, answer, milliseconds, created_at) "
        "SELECT id, 1, 'HTTP 200', 3, created_at FROM webhook_messages WHERE id = :id"
    )
    async with database.transaction() as transaction:
        await transaction.execute(note, {"id": message.id})
    [attempt] = await log_of(client, row.id)
    assert (attempt["trigger"], attempt["address"], attempt["signed_by"]) == ("scheduled", None, None)
