"""Webhooks against a real receiver: signed, one at a time, in order, tried again for as long as it makes sense."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import standardwebhooks
from sqlalchemy import Row, select, text

from shared import lifecycle, webhook_messages
from shared.contract import Status, WebhookEvent
from shared.database import Database, clock
from shared.ids import new_id
from shared.lifecycle import Ending, Progress
from shared.settings import Settings
from shared.tables import Account, PausedAddress, WebhookMessage
from shared.webhooks import new_secret
from tests.database_fixtures import Backend, Rows, until
from tests.listener import Behaviour, Listener, hanging_up
from tests.receiver import Delivery, Receiver, SlowReceiver, receiving
from worker.deliver import Sender
from worker.outbound import Outbound
from worker.schedule import SCHEDULES

RETRY_SECONDS = SCHEDULES["pinion"]
NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""
COMPLETED = (WebhookEvent.COMPLETED,)
CLAIM_SECONDS = 30


@pytest_asyncio.fixture
async def ended(rows: Rows, receiver: Receiver) -> Row[Any]:
    """A prediction that owes its `completed` message and nothing else."""
    return await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)


@pytest.fixture
def another_sender(sender: Sender) -> Sender:
    """One that has met nobody yet."""
    return Sender(sender.settings, sender.database, sender.client, new_id())


async def only_message(rows: Rows, prediction_id: str) -> Row[Any]:
    [message] = await rows.messages(prediction_id)
    return message


async def time_passes(rows: Rows, prediction_id: str) -> None:
    """Everything open has become due."""
    mine = WebhookMessage.prediction_id == prediction_id
    await rows.change(WebhookMessage, mine, next_attempt_at=clock(-0.001))


async def pause_of(database: Database, message_id: str) -> float:
    """Seconds until a message is due, by the database's clock."""
    query = select(WebhookMessage.next_attempt_at, clock()).where(WebhookMessage.id == message_id)
    async with database.reading() as connection:
        due, now = (await connection.execute(query)).one()
    return (due - now) / timedelta(seconds=1)


def verified(rows: Rows, delivery: Delivery) -> Any:
    return standardwebhooks.Webhook(rows.secret).verify(delivery.body, delivery.headers)


async def test_a_message_is_delivered_signed_and_as_it_was_written(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any]
) -> None:
    await sender.deliver(NO_QUEUE, ended.id)
    [delivery] = receiver.deliveries
    message = await only_message(rows, ended.id)
    assert (message.state, message.attempts, message.last_answer) == ("delivered", 1, "HTTP 200")
    assert delivery.body == message.body
    assert delivery.headers["webhook-id"] == message.id
    assert delivery.headers["content-type"] == "application/json"
    assert delivery.headers["user-agent"].startswith("Pinion/")
    assert verified(rows, delivery)["status"] == Status.CANCELED


async def test_what_has_been_delivered_is_not_sent_again(sender: Sender, receiver: Receiver, ended: Row[Any]) -> None:
    for _ in range(3):
        await sender.deliver(NO_QUEUE, ended.id)
    assert len(receiver.deliveries) == 1


async def test_a_second_attempt_has_the_same_id_and_body_but_a_timestamp_of_its_own(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any]
) -> None:
    receiver.answers = [500]
    await sender.deliver(NO_QUEUE, ended.id)
    message = await only_message(rows, ended.id)
    assert (message.state, message.attempts, message.last_answer) == ("pending", 1, "HTTP 500")
    await sender.deliver(NO_QUEUE, ended.id)
    assert len(receiver.deliveries) == 1, "it is not due yet"
    await time_passes(rows, ended.id)
    await sender.deliver(NO_QUEUE, ended.id)
    first, second = receiver.deliveries
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body
    assert verified(rows, first) == verified(rows, second)
    delivered = await only_message(rows, ended.id)
    assert delivered.state == "delivered"
    # By the database's clock: the claim ends so long after it was made.
    claimed_at = delivered.next_attempt_at - timedelta(seconds=sender.settings.webhook_timeout_seconds + 15.0)
    assert int(second.headers["webhook-timestamp"]) == int(claimed_at.timestamp())


@pytest.mark.parametrize("attempts", [1, 2, 5, len(RETRY_SECONDS)])
async def test_the_pauses_follow_the_schedule_give_or_take_a_fifth(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any], attempts: int
) -> None:
    receiver.answers = [503]
    mine = WebhookMessage.prediction_id == ended.id
    await rows.change(WebhookMessage, mine, attempts=attempts - 1)
    await sender.deliver(NO_QUEUE, ended.id)
    pause = await pause_of(database, (await only_message(rows, ended.id)).id)
    expected = RETRY_SECONDS[attempts - 1]
    assert 0.8 * expected - 2 < pause < 1.2 * expected + 0.1


@pytest.mark.parametrize(
    ("answer", "attempts"), [(410, 1), (404, 6), (400, 6), (302, 12), (408, 12), (425, 12), (429, 12), (500, 12)]
)
async def test_how_often_an_answer_is_accepted_before_the_message_is_given_up(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any], answer: int, attempts: int
) -> None:
    receiver.answers = [answer] * 20
    have_been = max(attempts - 3, 0)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == ended.id, attempts=have_been)
    for attempt in range(have_been, attempts):
        message = await only_message(rows, ended.id)
        assert (message.state, message.attempts) == ("pending", attempt)
        await time_passes(rows, ended.id)
        await sender.deliver(NO_QUEUE, ended.id)
    message = await only_message(rows, ended.id)
    assert (message.state, message.attempts, message.last_answer) == ("dead", attempts, f"HTTP {answer}")
    await time_passes(rows, ended.id)
    await sender.deliver(NO_QUEUE, ended.id)
    assert len(receiver.deliveries) == attempts - have_been


async def test_a_message_that_is_given_up_does_not_hold_up_another(
    rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    row = await rows.running(webhook=receiver.url)
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, "x", "", {}), row.started_at)
    async with rows.database.transaction() as transaction:
        await lifecycle.finish(transaction, ending)
    receiver.answers = [500]
    await sender.deliver(NO_QUEUE, row.id)
    assert [message.state for message in await rows.messages(row.id)] == ["dead", "delivered"]


async def test_a_blocked_address_gets_no_request_and_few_tries(rows: Rows, settings: Settings) -> None:
    with receiving() as receiver:
        row = await rows.ended(webhook=receiver.url, webhook_events=COMPLETED)
        async with Outbound(()) as client:
            sender = Sender(settings, rows.database, client, new_id())
            for _ in range(5):
                await time_passes(rows, row.id)
                await sender.deliver(NO_QUEUE, row.id)
        assert receiver.deliveries == []
    message = await only_message(rows, row.id)
    assert (message.state, message.attempts) == ("dead", 3)
    assert message.last_answer == "address not allowed by policy"


async def test_a_receiver_that_is_not_there_is_tried_again(rows: Rows, sender: Sender) -> None:
    with receiving() as gone:
        row = await rows.ended(webhook=gone.url, webhook_events=COMPLETED)
    await sender.deliver(NO_QUEUE, row.id)
    message = await only_message(rows, row.id)
    assert (message.state, message.attempts) == ("pending", 1)
    assert message.last_answer


async def test_a_kept_connection_that_the_receiver_closes_costs_no_attempt(
    rows: Rows, sender: Sender, listener: Listener
) -> None:
    first, second = [await rows.ended(webhook=listener.url(), webhook_events=COMPLETED) for _ in range(2)]
    await sender.deliver(NO_QUEUE, first.id)
    listener.behaviour = answering_the_second(listener.behaviour)
    await sender.deliver(NO_QUEUE, second.id)
    assert (listener.connections, len(listener.requests)) == (2, 3)
    message = await only_message(rows, second.id)
    assert (message.state, message.attempts) == ("delivered", 1)


def answering_the_second(behaviour: Behaviour) -> Behaviour:
    """Hangs up on the next request, without a word."""
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ConnectionResetError
        await behaviour(reader, writer)

    return answer


async def test_a_receiver_that_hangs_up_on_everybody_is_asked_twice_at_once_and_then_by_schedule(
    rows: Rows, sender: Sender, listener: Listener
) -> None:
    listener.behaviour = hanging_up
    row = await rows.ended(webhook=listener.url(), webhook_events=COMPLETED)
    await sender.deliver(NO_QUEUE, row.id)
    assert len(listener.requests) == 2
    message = await only_message(rows, row.id)
    assert (message.state, message.attempts) == ("pending", 1)
    assert message.last_answer == "the connection broke before the answer was complete"


async def test_an_address_that_answered_410_is_sent_nothing_more_for_an_hour_unless_it_is_asked_for(
    rows: Rows, sender: Sender, another_sender: Sender, receiver: Receiver
) -> None:
    receiver.answers = [410]
    first, second, third = [await rows.ended(webhook=receiver.url, webhook_events=COMPLETED) for _ in range(3)]
    elsewhere = await rows.ended(webhook=f"{receiver.url}?elsewhere", webhook_events=COMPLETED)
    await another_sender.deliver(NO_QUEUE, first.id)
    for row in (second, elsewhere):
        await sender.deliver(NO_QUEUE, row.id)
    assert [delivery.json["id"] for delivery in receiver.deliveries] == [first.id, elsewhere.id]
    message = await only_message(rows, second.id)
    assert (message.state, message.attempts) == ("dead", 1)
    assert message.last_answer == "not sent: the receiver answered 410 less than an hour ago"
    await webhook_messages.replay(rows.database, message)
    await sender.deliver(NO_QUEUE, second.id)
    assert (await only_message(rows, second.id)).state == "delivered", "who replays means it"
    await sender.deliver(NO_QUEUE, third.id)
    assert (await only_message(rows, third.id)).state == "delivered", "it takes messages again"
    receiver.answers = [410]
    fourth, fifth = [await rows.ended(webhook=receiver.url, webhook_events=COMPLETED) for _ in range(2)]
    await sender.deliver(NO_QUEUE, fourth.id)
    await rows.change(PausedAddress, PausedAddress.url == receiver.url, until=clock(-1))
    await sender.deliver(NO_QUEUE, fifth.id)
    assert (await only_message(rows, fifth.id)).state == "delivered", "an hour later it is asked again"


async def test_an_account_has_so_many_paused_addresses_and_those_paused_first_give_way(
    rows: Rows, sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pauses._PAUSED_MAX", 2)
    receiver.answers = [410] * 4
    for name in ("first", "second", "second", "third"):
        row = await rows.ended(webhook=f"{receiver.url}/{name}", webhook_events=COMPLETED)
        await sender.deliver(NO_QUEUE, row.id)
    assert len(receiver.deliveries) == 3, "to none twice"
    async with rows.database.reading() as connection:
        urls = (await connection.execute(select(PausedAddress.url))).scalars().all()
    assert sorted(urls) == [f"{receiver.url}/second", f"{receiver.url}/third"]


async def came(receiver: Receiver, number: int) -> None:
    await asyncio.to_thread(receiver.wait_for, lambda deliveries: len(deliveries) >= number)


async def test_a_receiver_that_never_answers_is_given_up_in_time(
    rows: Rows, settings: Settings, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    row = await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED)
    sender.settings = settings.model_copy(update={"webhook_timeout_seconds": 0.05})
    await sender.deliver(NO_QUEUE, row.id)
    message = await only_message(rows, row.id)
    assert (message.state, message.last_answer) == ("pending", "no complete answer in time")


async def test_one_request_of_a_prediction_is_in_flight_however_many_jobs_there_are(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    row = await rows.running(webhook=slow_receiver.url)
    ending = Ending(row, Status.SUCCEEDED, None, Progress(row.id, row.attempt, "x", "", {}), row.started_at)
    async with rows.database.transaction() as transaction:
        await lifecycle.finish(transaction, ending)
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for _ in range(8)]
    await came(slow_receiver, 1)
    await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    await sender.deliver(NO_QUEUE, row.id)
    assert len(slow_receiver.deliveries) == 1
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert [delivery.json["status"] for delivery in slow_receiver.deliveries] == ["processing", "succeeded"]
    assert slow_receiver.most_at_once == 1
    assert [(message.state, message.attempts) for message in await rows.messages(row.id)] == [("delivered", 1)] * 2


async def test_of_senders_that_reach_for_a_message_at_the_same_moment_one_gets_it(
    servers: Backend, database: Database, rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    row = await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED)
    async with database.transaction() as transaction:  # on SQLite this alone holds up every writer
        if servers.name == "servers":
            await transaction.execute(text("SELECT id FROM webhook_messages FOR UPDATE"))
        jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for _ in range(3)]
        await until(lambda: servers.name == "embedded" or _waiting_for_locks(database, len(jobs)))
    await came(slow_receiver, 1)
    await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert len(slow_receiver.deliveries) == 1
    assert (await only_message(rows, row.id)).attempts == 1


async def _waiting_for_locks(database: Database, number: int) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.reading() as connection:
        return await connection.scalar(text(waiting)) == number


async def test_the_ending_waits_for_a_snapshot_under_way_and_comes_last(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    events = (WebhookEvent.OUTPUT, WebhookEvent.COMPLETED)
    row = await rows.running(webhook=slow_receiver.url, webhook_events=events)
    progress = Progress(row.id, row.attempt, ["a"], "", {})
    async with rows.database.transaction() as transaction:
        await lifecycle.record(transaction, progress, WebhookEvent.OUTPUT, 1)
    job = asyncio.create_task(sender.deliver(NO_QUEUE, row.id))
    await came(slow_receiver, 1)
    async with rows.database.transaction() as transaction:
        await lifecycle.finish(transaction, Ending(row, Status.SUCCEEDED, None, progress, row.started_at))
    await sender.deliver(NO_QUEUE, row.id)
    assert len(slow_receiver.deliveries) == 1
    slow_receiver.may_answer.set()
    await job
    assert [delivery.json["status"] for delivery in slow_receiver.deliveries] == ["processing", "succeeded"]
    assert slow_receiver.most_at_once == 1


async def test_one_slow_receiver_does_not_hold_up_another_prediction(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    slow, quick = [await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED) for _ in range(2)]
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in (slow, quick)]
    await came(slow_receiver, 2)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)


async def test_a_claim_that_lapsed_is_taken_over_with_the_same_id(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any]
) -> None:
    mine = WebhookMessage.prediction_id == ended.id
    # What a sender leaves behind that is killed between claim and answer.
    await rows.change(WebhookMessage, mine, state="delivering", attempts=1, next_attempt_at=clock(CLAIM_SECONDS))
    await sender.deliver(NO_QUEUE, ended.id)
    assert receiver.deliveries == []
    await time_passes(rows, ended.id)
    await sender.deliver(NO_QUEUE, ended.id)
    message = await only_message(rows, ended.id)
    assert (message.state, message.attempts) == ("delivered", 2)
    assert [delivery.headers["webhook-id"] for delivery in receiver.deliveries] == [message.id]


async def test_what_a_sender_has_claimed_without_knowing_it_is_due_again_in_seconds(
    rows: Rows, sender: Sender, receiver: Receiver, slow_receiver: SlowReceiver
) -> None:
    unknown, fresh = [await rows.ended(webhook=receiver.url, webhook_events=COMPLETED) for _ in range(2)]
    known = await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED)
    for row in (unknown, fresh):
        assert await sender._claim_alone(row.id, can_wait=False)
    job = asyncio.create_task(sender.deliver(NO_QUEUE, known.id))
    await until(lambda: slow_receiver.deliveries)
    lapses = sender._lapses.total_seconds()
    is_old = WebhookMessage.lane.in_((unknown.id, known.id))
    await rows.change(WebhookMessage, is_old, next_attempt_at=clock(lapses - 3.5))  # claimed three seconds ago
    await sender.look_after_claims()
    for row in (unknown, fresh, known):
        await sender.deliver(NO_QUEUE, row.id)
    assert [delivery.headers["webhook-id"] for delivery in receiver.deliveries] == [
        (await rows.messages(unknown.id))[0].id
    ]
    assert len(slow_receiver.deliveries) == 1
    slow_receiver.may_answer.set()
    await job


async def test_a_claim_lasts_longer_than_an_attempt_may(
    database: Database, rows: Rows, settings: Settings, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    row = await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED)
    job = asyncio.create_task(sender.deliver(NO_QUEUE, row.id))
    await came(slow_receiver, 1)
    message = await only_message(rows, row.id)
    assert message.state == "delivering"
    assert await pause_of(database, message.id) > settings.webhook_timeout_seconds
    slow_receiver.may_answer.set()
    await job


async def test_a_late_answer_to_a_lapsed_claim_changes_nothing(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    row = await rows.ended(webhook=slow_receiver.url, webhook_events=COMPLETED)
    slow_receiver.answers = [500, 200]
    late = asyncio.create_task(sender.deliver(NO_QUEUE, row.id))
    await came(slow_receiver, 1)
    await time_passes(rows, row.id)
    taking_over = asyncio.create_task(sender.deliver(NO_QUEUE, row.id))
    await came(slow_receiver, 2)
    slow_receiver.may_answer.set()
    await asyncio.gather(late, taking_over)
    message = await only_message(rows, row.id)
    assert (message.state, message.attempts, message.last_answer) == ("delivered", 2, "HTTP 200")


async def test_attempts_beyond_the_schedule_after_many_crashes_end_it(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any]
) -> None:
    receiver.answers = [500]
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == ended.id, attempts=40)
    await sender.deliver(NO_QUEUE, ended.id)
    assert (await only_message(rows, ended.id)).state == "dead"


async def test_a_new_secret_signs_soon_after_it_was_set(
    rows: Rows, sender: Sender, receiver: Receiver, ended: Row[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [500]
    await sender.deliver(NO_QUEUE, ended.id)
    secret = new_secret()
    await rows.change(Account, Account.id == rows.account_id, webhook_secret=secret)
    monkeypatch.setattr("worker.deliver.monotonic", lambda: float("inf"))
    await time_passes(rows, ended.id)
    await sender.deliver(NO_QUEUE, ended.id)
    first, second = receiver.deliveries
    assert verified(rows, first)
    assert standardwebhooks.Webhook(secret).verify(second.body, second.headers)


async def test_nothing_is_due_for_a_prediction_nobody_knows(sender: Sender) -> None:
    await sender.deliver(NO_QUEUE, "nobody")
