"""Endpoints, messages, replays and the rotation of the secret over the API, with a sender and a real receiver."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from time import time
from typing import Any

import httpx
import pytest
import standardwebhooks
from sqlalchemy import func, select

from shared import lifecycle
from shared.contract import Status, WebhookEvent
from shared.database import Database, clock
from shared.lifecycle import Ending, Progress
from shared.tables import Account, WebhookAttempt, WebhookMessage
from tests.api_in_process import serving
from tests.database_fixtures import TOKEN, Backend, Rows, until
from tests.receiver import Delivery, Receiver, receiving
from worker.deliver import Sender

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""
COMPLETED = (WebhookEvent.COMPLETED,)


async def send_all(database: Database, sender: Sender) -> None:
    """Whatever is due, as the sweep would ring for it."""
    is_due = (WebhookMessage.state == "pending", WebhookMessage.next_attempt_at <= clock())
    async with database.reading() as connection:
        lanes = (await connection.execute(select(WebhookMessage.lane).where(*is_due).distinct())).scalars().all()
    for lane in lanes:
        await sender.deliver(NO_QUEUE, lane)


async def asked(client: httpx.AsyncClient, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = await client.request(method, f"/v1/webhooks/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def added(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    made: dict[str, Any] = await asked(client, "POST", "endpoints", {"url": url}, 201)
    return made


def is_signed_by(secret: str, delivery: Delivery) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(delivery.body, delivery.headers)
    except standardwebhooks.WebhookVerificationError:
        return False
    return True


async def count(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(WebhookMessage))).scalar_one()


async def test_an_endpoint_hears_of_the_end_of_everything_besides_the_receiver_of_a_prediction(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    await added(client, f"{receiver.url}/all")
    row = await rows.running(webhook=f"{receiver.url}/own", webhook_events=COMPLETED)
    silent = await rows.running(webhook=None)
    for each in (row, silent):
        ending = Ending(each, Status.SUCCEEDED, None, Progress(each.id, 1, "x", "", {}), datetime.now(UTC))
        assert not lifecycle.takes_one_statement(ending, database.joins_writes)
        async with database.transaction() as transaction:
            assert await lifecycle.finish(transaction, ending)
    await send_all(database, sender)
    came = [(delivery.path, delivery.json["id"], delivery.json["status"]) for delivery in receiver.deliveries]
    succeeded = [("/hook/own", row.id), ("/hook/all", row.id), ("/hook/all", silent.id)]
    assert sorted(came) == sorted((*each, "succeeded") for each in succeeded)
    assert len({delivery.headers["webhook-id"] for delivery in receiver.deliveries}) == 3
    assert all(is_signed_by(rows.secret, delivery) for delivery in receiver.deliveries)
    of_row = [delivery.body for delivery in receiver.deliveries if delivery.json["id"] == row.id]
    assert of_row[0] == of_row[1]


async def test_whoever_ends_a_prediction_the_endpoints_hear_of_it(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    await added(client, receiver.url)
    canceled, failed = await rows.ended(), await rows.running()
    async with database.transaction() as transaction:
        await lifecycle.fail(transaction, failed, "lost", None)
    await send_all(database, sender)
    told = {delivery.json["id"]: delivery.json["status"] for delivery in receiver.deliveries}
    assert told == {canceled.id: "canceled", failed.id: "failed"}


async def test_an_endpoint_that_fails_does_not_hold_up_another_one(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    with receiving() as gone:
        pass
    await added(client, gone.url)
    await added(client, receiver.url)
    await rows.ended()
    await send_all(database, sender)
    assert len(receiver.deliveries) == 1
    listed = await asked(client, "GET", "messages")
    assert sorted(message["state"] for message in listed["results"]) == ["delivered", "pending"]


async def test_who_has_no_endpoint_in_use_owes_nothing_and_ends_in_one_statement(
    client: httpx.AsyncClient, database: Database, rows: Rows, receiver: Receiver
) -> None:
    other = await Rows.made(database, "ada")
    endpoint = await added(client, receiver.url)
    assert not (await other.ended()).tells_endpoints
    row = await rows.waiting()
    assert row.tells_endpoints
    await asked(client, "PATCH", f"endpoints/{endpoint['id']}", {"disabled": True})
    async with database.transaction() as transaction:
        await lifecycle.cancel(transaction, row.id)
    assert not (await rows.ended()).tells_endpoints
    assert await count(database) == 0
    running = await rows.running(webhook=None)
    ending = Ending(running, Status.SUCCEEDED, None, Progress(running.id, 1, "x", "", {}), datetime.now(UTC))
    assert lifecycle.takes_one_statement(ending, database.joins_writes)


async def test_an_endpoint_is_made_read_listed_disabled_enabled_and_deleted(client: httpx.AsyncClient) -> None:
    url = "https://user:secret@receiver.example/hook?key=1"
    made = await added(client, url)
    assert (made["url"], made["disabled"], made["disabled_reason"]) == (url, False, None)
    place = f"endpoints/{made['id']}"
    assert await asked(client, "GET", place) == made
    assert (await asked(client, "GET", "endpoints"))["results"] == [made]
    disabled = await asked(client, "PATCH", place, {"disabled": True})
    assert (disabled["disabled"], disabled["disabled_reason"]) == (True, "Disabled by its account.")
    assert await asked(client, "PATCH", place, {"disabled": False}) == made
    await asked(client, "DELETE", place, status=204)
    await asked(client, "GET", place, status=404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, ""),
        ({"url": 1}, "url"),
        ({"url": "ftp://receiver.example"}, "url"),
        ({"url": "http://10.0.0.1/hook"}, "url"),
        ({"url": "https://receiver.example", "events": ["start"]}, ""),
    ],
)
async def test_an_address_that_could_be_no_receiver_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    refused = await asked(client, "POST", "endpoints", body, 422)
    assert [problem["field"] for problem in refused["invalid_fields"]] == [field]


async def test_an_operator_may_insist_on_https(servers: Backend, tmp_path: Path, rows: Rows) -> None:
    await rows.add_token()
    strict = servers.settings(home=tmp_path, webhook_require_https=True)
    wanted = {"version": rows.version_id, "input": {"text": "hello"}}
    for scheme, status in (("http", 422), ("https", 201)):
        url = f"{scheme}://receiver.example/hook"
        async with serving(strict) as client:
            await asked(client, "POST", "endpoints", {"url": url}, status)
            created = await client.post("/v1/predictions", json={**wanted, "webhook": url})
        assert created.status_code == status, created.text


async def test_an_account_has_a_bounded_number_of_endpoints(client: httpx.AsyncClient) -> None:
    for number in range(20):
        await added(client, f"https://receiver.example/{number}")
    refused = await asked(client, "POST", "endpoints", {"url": "https://receiver.example/20"}, 409)
    assert "Delete one" in refused["detail"]


async def test_a_test_looks_like_the_end_of_a_prediction_and_its_message_tells_what_came(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    endpoint = await added(client, receiver.url)
    receiver.answers, receiver.answer_body = [500], b"no such table: orders"
    fired = await asked(client, "POST", f"endpoints/{endpoint['id']}/test", status=201)
    assert (fired["event"], fired["prediction"], fired["endpoint"]) == ("test", None, endpoint["id"])
    await send_all(database, sender)
    [delivery] = receiver.deliveries
    assert is_signed_by(rows.secret, delivery)
    assert delivery.json["status"] == "succeeded"
    seen = await asked(client, "GET", f"messages/{fired['id']}")
    assert (seen["state"], seen["reason"]) == ("dead", "Given up after 1 attempt: HTTP 500")
    [attempt] = seen["log"]
    assert (attempt["status"], attempt["response"]) == (500, "no such table: orders")


async def test_an_endpoint_that_answers_410_is_owed_nothing_more(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    endpoint = await added(client, receiver.url)
    await rows.ended()
    receiver.answers = [410]
    await send_all(database, sender)
    seen = await asked(client, "GET", f"endpoints/{endpoint['id']}")
    assert (seen["disabled"], "410" in seen["disabled_reason"]) == (True, True)
    await rows.ended()
    [message] = (await asked(client, "GET", "messages"))["results"]
    assert (message["state"], message["reason"]) == ("dead", "The receiver answered 410: it wants no more messages.")


async def test_what_a_deleted_endpoint_was_owed_is_given_up_and_not_replayed(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    endpoint = await added(client, receiver.url)
    await rows.ended()
    await asked(client, "DELETE", f"endpoints/{endpoint['id']}", status=204)
    [message] = (await asked(client, "GET", "messages?state=dead"))["results"]
    assert message["reason"] == "Its endpoint was deleted."
    await asked(client, "POST", f"messages/{message['id']}/replay", status=409)
    long_ago = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert await asked(client, "POST", "replay", {"since": long_ago}, 202) == {"replayed": 0}
    await send_all(database, sender)
    assert receiver.deliveries == []


async def test_messages_are_listed_newest_first_by_state_prediction_endpoint_and_event_and_hide_keys(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    endpoint = await added(client, "https://user:hunter2@receiver.example/hook?key=sesame")
    first, second = [await rows.ended() for _ in range(2)]
    listed = await client.get("/v1/webhooks/messages")
    assert [message["prediction"] for message in listed.json()["results"]] == [second.id, first.id]
    assert {"hunter2", "sesame"}.isdisjoint(listed.text)
    for query, expected in {
        f"prediction={first.id}": [first.id],
        f"endpoint={endpoint['id']}": [second.id, first.id],
        "endpoint=none": [],
        "event=completed&state=pending": [second.id, first.id],
        "event=start": [],
        "state=dead": [],
    }.items():
        found = (await asked(client, "GET", f"messages?{query}"))["results"]
        assert [message["prediction"] for message in found] == expected
    for wrong in ("state=lost", "event=end"):
        await asked(client, "GET", f"messages?{wrong}", status=422)


async def test_the_pages_of_messages_follow_each_other(
    client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.webhook_messages.PAGE_SIZE", 2)
    await added(client, "https://receiver.example")
    ended = [(await rows.ended()).id for _ in range(3)]
    page = await asked(client, "GET", "messages")
    then = (await client.get(page["next"])).json()
    seen = [message["prediction"] for message in (*page["results"], *then["results"])]
    assert seen == ended[::-1]
    assert then["next"] is None


async def test_a_replayed_message_keeps_its_id_and_body_and_has_its_schedule_before_it_again(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    row = await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await send_all(database, sender)
    [message] = (await asked(client, "GET", "messages"))["results"]
    earlier = int(receiver.deliveries[0].headers["webhook-timestamp"])
    await until(lambda: time() > earlier + 1)
    receiver.answers = [404] * 6
    replayed = await asked(client, "POST", f"messages/{message['id']}/replay", status=202)
    assert (replayed["id"], replayed["state"]) == (message["id"], "pending")
    refused = await asked(client, "POST", f"messages/{message['id']}/replay", status=409)
    assert refused["detail"] == "The message is still being delivered."
    for _ in range(6):
        await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, next_attempt_at=clock(-0.001))
        await send_all(database, sender)
    first, *others = receiver.deliveries
    assert len(others) == 6
    assert {each.headers["webhook-id"] for each in others} == {first.headers["webhook-id"]}
    assert {each.body for each in others} == {first.body}
    assert all(earlier < int(each.headers["webhook-timestamp"]) <= time() + 1 for each in others)
    seen = await asked(client, "GET", f"messages/{message['id']}")
    assert (seen["state"], seen["attempts"]) == ("dead", 7)
    assert seen["reason"] == "Given up after 6 attempts: HTTP 404"
    assert [attempt["number"] for attempt in seen["log"]] == list(range(1, 8))


async def test_all_that_was_given_up_since_a_moment_is_replayed_at_once(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    old, lost, fine = [await rows.ended(webhook=receiver.url, webhook_events=COMPLETED) for _ in range(3)]
    other = await Rows.made(database, "ada")
    foreign = await other.ended(webhook=receiver.url, webhook_events=COMPLETED)
    for row, state in ((old, "dead"), (lost, "dead"), (fine, "delivered"), (foreign, "dead")):
        await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, state=state, attempts=12)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == old.id, created_at=clock(-7200))
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    assert await asked(client, "POST", "replay", {"since": since}, 202) == {"replayed": 1}
    await send_all(database, sender)
    assert [delivery.json["id"] for delivery in receiver.deliveries] == [lost.id]
    assert await asked(client, "POST", "replay", {"since": since, "state": "delivered"}, 202) == {"replayed": 2}


async def test_messages_that_were_given_up_are_kept_until_they_are_deleted(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers = [410, 200, 200, 410]
    urls = [f"{receiver.url}/{number}" for number in range(5)]
    old, fine, *_ = [await rows.ended(webhook=url, webhook_events=COMPLETED) for url in urls]
    foreign = await (await Rows.made(database, "ada")).ended(webhook=f"{receiver.url}/0", webhook_events=COMPLETED)
    for row in (old, fine):
        await sender.deliver(NO_QUEUE, row.id)
    moment = datetime.now(UTC)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id.in_((old.id, fine.id)), created_at=clock(-60))
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == foreign.id, state="dead", created_at=clock(-60))
    waiting, *_ = (await asked(client, "GET", "messages?state=pending"))["results"]
    refused = await asked(client, "DELETE", f"messages/{waiting['id']}", status=409)
    assert refused["detail"] == "The message is still being delivered."
    before = (moment - timedelta(seconds=30)).isoformat()
    assert await asked(client, "POST", "discard", {"before": before}) == {"deleted": 1}
    assert await asked(client, "POST", "discard", {"before": before}) == {"deleted": 0}
    assert await count(database) == 5, "what was delivered, waits, or is another's stays"
    await asked(client, "DELETE", f"messages/{(await rows.messages(fine.id))[0].id}", status=204)
    assert await rows.messages(fine.id) == []
    async with database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(WebhookAttempt))).scalar_one() == 0


async def test_a_discard_wants_a_moment(client: httpx.AsyncClient) -> None:
    refused = await asked(client, "POST", "discard", {}, 422)
    assert "before" in refused["detail"]


@pytest.mark.parametrize("body", [{}, {"since": "yesterday"}, {"since": "2026-11-27T12:00:00"}, {"since": None}])
async def test_a_replay_wants_a_moment_with_its_time_zone(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    refused = await asked(client, "POST", "replay", body, 422)
    assert "since" in refused["detail"]


async def test_a_message_whose_data_has_been_removed_cannot_be_replayed(
    client: httpx.AsyncClient, rows: Rows, receiver: Receiver
) -> None:
    row = await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, state="delivered", body=b"")
    [message] = (await asked(client, "GET", "messages"))["results"]
    refused = await asked(client, "POST", f"messages/{message['id']}/replay", status=409)
    assert "has been removed" in refused["detail"]


async def test_after_a_rotation_both_secrets_sign_for_a_while_and_then_the_new_one_alone(
    client: httpx.AsyncClient,
    database: Database,
    rows: Rows,
    sender: Sender,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rotated = (await asked(client, "POST", "default/secret/rotate", {"overlap_seconds": 3600}))["key"]
    assert rotated != rows.secret
    assert await asked(client, "GET", "default/secret") == {"key": rotated}
    await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await send_all(database, sender)
    [during] = receiver.deliveries
    assert is_signed_by(rotated, during)
    assert is_signed_by(rows.secret, during)
    newest, former = during.headers["webhook-signature"].split(" ")
    assert is_signed_by(rotated, Delivery("", {**during.headers, "webhook-signature": newest}, during.body))
    assert is_signed_by(rows.secret, Delivery("", {**during.headers, "webhook-signature": former}, during.body))
    assert not is_signed_by(rotated, Delivery("", during.headers, during.body + b" "))
    await rows.change(Account, Account.id == rows.account_id, former_secret_until=clock(-1))
    monkeypatch.setattr("worker.deliver.monotonic", lambda: float("inf"))
    await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await send_all(database, sender)
    after = receiver.deliveries[-1]
    assert (is_signed_by(rotated, after), is_signed_by(rows.secret, after)) == (True, False)


async def test_a_signature_holds_for_its_own_bytes_id_and_moment_and_for_five_minutes(
    rows: Rows, sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await sender.deliver(NO_QUEUE, row.id)
    [came] = receiver.deliveries
    assert is_signed_by(rows.secret, came)
    assert not is_signed_by(rows.secret, Delivery("", came.headers, came.body.replace(b"canceled", b"canceleD")))
    moment = int(came.headers["webhook-timestamp"])
    for name, other in (("id", "msg_x"), ("timestamp", str(moment + 1)), ("timestamp", str(moment - 1))):
        assert not is_signed_by(rows.secret, Delivery("", {**came.headers, f"webhook-{name}": other}, came.body)), name
    for minutes, is_trusted in ((-6, False), (-4, True), (4, True), (6, False)):
        monkeypatch.setattr("standardwebhooks.webhooks.datetime", at(moment + 60 * minutes))
        assert is_signed_by(rows.secret, came) == is_trusted, minutes


def at(seconds: float) -> type[datetime]:
    """What tells the time as if it were then."""

    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.fromtimestamp(seconds, tz)

    return Then


async def test_a_third_secret_has_to_wait_unless_both_others_end_at_once(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    second = (await asked(client, "POST", "default/secret/rotate", {}))["key"]
    refused = await asked(client, "POST", "default/secret/rotate", {}, 409)
    assert f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}" in refused["detail"]
    third = (await asked(client, "POST", "default/secret/rotate", {"overlap_seconds": 0}))["key"]
    await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
    await send_all(database, sender)
    [delivery] = receiver.deliveries
    assert [is_signed_by(secret, delivery) for secret in (third, second, rows.secret)] == [True, False, False]


async def test_no_secret_and_no_key_of_an_address_gets_into_logs_or_answers(
    client: httpx.AsyncClient, database: Database, rows: Rows, sender: Sender, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving() as gone:
        address = gone.url.replace("http://", "http://user:hunter2@") + "?key=sesame"
    row = await rows.ended(webhook=address, webhook_events=COMPLETED)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, attempts=11)
    await send_all(database, sender)
    [message] = (await asked(client, "GET", "messages?state=dead"))["results"]
    seen = await client.get(f"/v1/webhooks/messages/{message['id']}")
    logged = "".join(capfd.readouterr())
    assert "webhook given up" in logged
    for secret in ("hunter2", "sesame", "whsec_", rows.secret, TOKEN):
        assert secret not in logged
        assert secret not in seen.text
