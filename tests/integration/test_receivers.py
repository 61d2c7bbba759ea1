"""One receiver must not hold up another: few requests at a time, and a rest for a host that fails and fails."""

import asyncio
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Row, func, select

from shared import lifecycle, webhook_messages
from shared.contract import WebhookEvent
from shared.database import Database, clock
from shared.ids import new_id
from shared.queue import DUE_QUEUE, RedisPool, open_redis
from shared.settings import Settings
from shared.tables import WebhookAttempt, WebhookMessage
from tests.database_fixtures import LONG_AGO, Rows, until
from tests.receiver import Receiver, SlowReceiver
from worker import receivers
from worker.deliver import Sender
from worker.sweep import Sweep

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""
COMPLETED = (WebhookEvent.COMPLETED,)
PLACES = 4
FAILURES_MAX = 10


async def owing(rows: Rows, url: str, number: int) -> list[Row[Any]]:
    """So many predictions that owe their `completed` message to the same host."""
    return [await rows.ended(webhook=f"{url}/{index}", webhook_events=COMPLETED) for index in range(number)]


async def delivered(database: Database) -> int:
    query = select(func.count()).select_from(WebhookMessage).where(WebhookMessage.state == "delivered")
    async with database.reading() as connection:
        return (await connection.execute(query)).scalar_one()


async def attempts(database: Database, prediction_id: str) -> list[Row[Any]]:
    query = select(WebhookAttempt.__table__).join(WebhookMessage, WebhookMessage.id == WebhookAttempt.message_id)
    query = query.where(WebhookMessage.prediction_id == prediction_id).order_by(WebhookAttempt.number)
    async with database.reading() as connection:
        return list((await connection.execute(query)).all())


async def due(rows: Rows) -> None:
    """Everything open has become due."""
    await rows.change(WebhookMessage, WebhookMessage.state == "pending", next_attempt_at=clock(-0.001))


async def test_a_receiver_has_few_requests_at_once_and_the_others_wait_without_a_seat(
    database: Database, rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    owed = await owing(rows, slow_receiver.url, 20)
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in owed]
    await until(lambda: sum(job.done() for job in jobs) == len(owed) - PLACES)
    assert len(slow_receiver.deliveries) == PLACES
    waiting = [message for row in owed for message in await rows.messages(row.id) if message.state == "pending"]
    assert [message.attempts for message in waiting] == [0] * (len(owed) - PLACES)
    # Rung for again, as the sweep does: they still wait, and cost nothing.
    await asyncio.gather(*(sender.deliver(NO_QUEUE, row.id) for row in owed))
    assert len(slow_receiver.deliveries) == PLACES
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert await delivered(database) == len(owed)
    assert slow_receiver.most_at_once == PLACES
    assert sorted(delivery.path for delivery in slow_receiver.deliveries) == sorted(f"/hook/{n}" for n in range(20))


async def test_a_receiver_that_does_not_answer_holds_up_no_other_host_of_the_account(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver, receiver: Receiver
) -> None:
    slow, quick = await owing(rows, slow_receiver.url, 12), await owing(rows, receiver.url, 3)
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in slow]
    await until(lambda: len(slow_receiver.deliveries) == PLACES)
    await asyncio.gather(*(sender.deliver(NO_QUEUE, row.id) for row in quick))
    assert len(receiver.deliveries) == len(quick)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)


async def test_places_are_an_accounts_own(rows: Rows, sender: Sender, slow_receiver: SlowReceiver) -> None:
    other = await Rows.made(rows.database, "ada")
    jobs = [
        asyncio.create_task(sender.deliver(NO_QUEUE, row.id))
        for row in [*await owing(rows, slow_receiver.url, PLACES + 2), *await owing(other, slow_receiver.url, 1)]
    ]
    await until(lambda: len(slow_receiver.deliveries) == PLACES + 1)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)


def hosts(url: str, number: int) -> list[str]:
    """So many hosts, as the sender sees it, of one receiver: an address can be spelled in many ways."""
    return [url.replace("127.0.0.1", f"0x{'0' * zeros}7f000001") for zeros in range(number)]


async def test_an_account_with_many_hosts_that_do_not_answer_leaves_places_for_others(
    database: Database, rows: Rows, sender: Sender, slow_receiver: SlowReceiver, receiver: Receiver
) -> None:
    flooded = [each for url in hosts(slow_receiver.url, 15) for each in await owing(rows, url, PLACES)]
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in flooded]
    await until(lambda: sum(job.done() for job in jobs) == len(flooded) - receivers.PLACES // 2)
    assert slow_receiver.most_at_once == receivers.PLACES // 2
    another = await Rows.made(database, "ada")
    await asyncio.gather(*(sender.deliver(NO_QUEUE, row.id) for row in await owing(another, receiver.url, 5)))
    assert len(receiver.deliveries) == 5
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert await delivered(database) == len(flooded) + 5, "each that waited went on when a place was free"
    assert slow_receiver.most_at_once == receivers.PLACES // 2


async def test_where_one_writes_at_a_time_what_is_new_is_claimed_before_what_is_sent_again(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    if sender.database.joins_writes:
        pytest.skip("Postgres lets many write at a time")
    *others, quiet = hosts(slow_receiver.url, 11)
    again = [each for url in others for each in await owing(rows, url, 2)]
    [new] = await owing(rows, quiet, 1)
    async with sender.database.transaction():
        jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id, is_news=False)) for row in again]
        await asyncio.sleep(0)
        jobs.append(asyncio.create_task(sender.deliver(NO_QUEUE, new.id)))
        await asyncio.sleep(0)
    await until(lambda: len(slow_receiver.deliveries) == len(jobs))
    *claims, claim = [(await rows.messages(row.id))[0].next_attempt_at for row in (*again, new)]
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert sum(each < claim for each in claims) <= 1


async def test_what_is_sent_again_and_what_is_new_wait_in_lines_of_their_own(
    rows: Rows, sender: Sender, slow_receiver: SlowReceiver
) -> None:
    again = await owing(rows, slow_receiver.url, PLACES + 8)
    await rows.change(WebhookMessage, WebhookMessage.account_id == rows.account_id, attempts=1)
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in again]
    await until(lambda: sum(job.done() for job in jobs) == 8)
    news = await owing(rows, slow_receiver.url.replace("hook", "new"), 2)
    for row in news:
        await sender.deliver(NO_QUEUE, row.id)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    came = [index for index, delivery in enumerate(slow_receiver.deliveries) if delivery.path.startswith("/new")]
    assert came
    assert max(came) <= PLACES + 4, "by turns with the older ones"


async def test_lanes_that_cannot_be_remembered_come_again_later(
    database: Database, rows: Rows, sender: Sender, slow_receiver: SlowReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.receivers._LINE_MAX", 1)
    owed = await owing(rows, slow_receiver.url, PLACES + 3)
    jobs = [asyncio.create_task(sender.deliver(NO_QUEUE, row.id)) for row in owed[:PLACES]]
    await until(lambda: len(slow_receiver.deliveries) == PLACES)
    for row in owed[PLACES:]:
        await sender.deliver(NO_QUEUE, row.id)
    slow_receiver.may_answer.set()
    await asyncio.gather(*jobs)
    assert await delivered(database) == PLACES + 1
    await due(rows)
    await asyncio.gather(*(sender.deliver(NO_QUEUE, row.id) for row in owed))
    assert await delivered(database) == len(owed)


async def test_what_comes_again_later_is_not_overtaken_by_the_end(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    row = await rows.running(webhook=receiver.url, webhook_events=(WebhookEvent.START, WebhookEvent.COMPLETED))
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, next_attempt_at=clock(60))
    async with database.transaction() as transaction:
        await lifecycle.fail(transaction, row, "lost", None)
    await sender.deliver(NO_QUEUE, row.id)
    assert receiver.deliveries == []
    await due(rows)
    await sender.deliver(NO_QUEUE, row.id)
    assert [delivery.json["status"] for delivery in receiver.deliveries] == ["processing", "failed"]


async def test_a_host_that_fails_on_and_on_is_left_alone_then_tried_by_one_and_used_again(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answers = [500] * (FAILURES_MAX + 1)
    for row in await owing(rows, receiver.url, FAILURES_MAX):
        await sender.deliver(NO_QUEUE, row.id)
    assert len(receiver.deliveries) == FAILURES_MAX
    first, *others = await owing(rows, receiver.url, 3)
    await sender.deliver(NO_QUEUE, first.id)
    assert len(receiver.deliveries) == FAILURES_MAX, "nothing was sent"
    [message] = await rows.messages(first.id)
    assert (message.state, message.attempts) == ("pending", 1)
    [held] = await attempts(database, first.id)
    assert held.status is None
    assert held.answer.startswith("not sent")
    now = receivers.monotonic() + 61
    monkeypatch.setattr("worker.receivers.monotonic", lambda: now)
    for row in others:  # the first finds that it still fails, so the second is not sent
        await sender.deliver(NO_QUEUE, row.id)
    assert len(receiver.deliveries) == FAILURES_MAX + 1
    now += 61
    await due(rows)
    for row in (first, *others):
        await sender.deliver(NO_QUEUE, row.id)
    assert await delivered(database) == 3


async def test_messages_that_an_older_release_wrote_without_a_lane_are_delivered_too(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    owed = await owing(rows, receiver.url, 3)
    await rows.change(WebhookMessage, WebhookMessage.account_id == rows.account_id, lane="", host="")
    await sender.deliver(NO_QUEUE, "")
    assert await delivered(database) == len(owed)


async def test_the_backlog_of_one_receiver_does_not_keep_the_sweep_from_ringing_for_another(
    settings: Settings, rows: Rows, redis: RedisPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep._BATCH", 3)
    await owing(rows, "http://127.0.0.1:1/hook", 8)
    [last] = await owing(rows, "http://127.0.0.1:2/hook", 1)
    for url, age in (("http://127.0.0.1:1", 60), ("http://127.0.0.1:2", 10)):
        await rows.change(WebhookMessage, WebhookMessage.url.startswith(url), next_attempt_at=clock(-age))
    await redis.delete(DUE_QUEUE)
    await Sweep(settings, rows.database, new_id())._ring_for_webhooks()
    rung = [job.args[0] for job in await redis.queued_jobs(queue_name=DUE_QUEUE)]
    assert len(rung) == 3
    assert last.id in rung


async def test_without_redis_the_sweep_sends_what_is_due_itself(
    settings: Settings, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    owed = await owing(rows, receiver.url, 3)
    await rows.change(WebhookMessage, WebhookMessage.account_id == rows.account_id, next_attempt_at=clock(-60))
    redis = open_redis("redis://127.0.0.1:1")
    database = Database(settings, redis)
    sweep = Sweep(settings, database, new_id(), partial(sender.deliver, NO_QUEUE))
    await sweep._ring_for_webhooks()
    await until(lambda: not sweep._delivering)
    await redis.aclose()
    await database.close()
    assert {delivery.json["id"] for delivery in receiver.deliveries} == {row.id for row in owed}
    assert await delivered(rows.database) == 3


async def test_an_account_with_many_hosts_does_not_keep_the_sweep_from_ringing_for_another(
    settings: Settings, rows: Rows, redis: RedisPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep._BATCH", 4)
    for port in range(1, 8):
        await owing(rows, f"http://127.0.0.1:{port}", 2)
    await rows.change(WebhookMessage, WebhookMessage.account_id == rows.account_id, next_attempt_at=clock(-60))
    another = await Rows.made(rows.database, "ada")
    owed = await owing(another, "http://127.0.0.1:9", 2)
    await rows.change(WebhookMessage, WebhookMessage.account_id == another.account_id, next_attempt_at=clock(-10))
    await redis.delete(DUE_QUEUE)
    await Sweep(settings, rows.database, new_id())._ring_for_webhooks()
    rung = [job.args[0] for job in await redis.queued_jobs(queue_name=DUE_QUEUE)]
    assert {row.id for row in owed} < set(rung)
    assert len(rung) == 4


async def test_the_last_attempt_is_made_although_the_host_is_left_alone(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    receiver.answers = [500] * FAILURES_MAX
    for row in await owing(rows, receiver.url, FAILURES_MAX):
        await sender.deliver(NO_QUEUE, row.id)
    [last] = await owing(rows, receiver.url, 1)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == last.id, attempts=11)
    await sender.deliver(NO_QUEUE, last.id)
    assert await delivered(database) == 1


async def test_every_attempt_is_noted_with_what_was_answered(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    [row] = await owing(rows, receiver.url, 1)
    receiver.answers = [302]
    receiver.answer_headers, receiver.answer_body = {"location": "http://169.254.169.254/"}, b"elsewhere" + b"x" * 9000
    await sender.deliver(NO_QUEUE, row.id)
    receiver.answer_headers, receiver.answer_body = {}, b"thanks"
    await due(rows)
    await sender.deliver(NO_QUEUE, row.id)
    first, second = await attempts(database, row.id)
    assert (first.number, first.status, first.answer) == (1, 302, "HTTP 302")
    assert first.location == "http://169.254.169.254/"
    assert first.response.startswith("elsewhere")
    assert len(first.response) == 4096
    assert (second.number, second.status, second.response, second.location) == (2, 200, "thanks", None)
    assert second.milliseconds >= 0
    assert first.created_at <= second.created_at
    assert len(receiver.deliveries) == 2


async def test_a_receiver_that_asks_for_time_gets_it(
    database: Database, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    [row] = await owing(rows, receiver.url, 1)
    receiver.answers, receiver.answer_headers = [429], {"retry-after": "300"}
    await sender.deliver(NO_QUEUE, row.id)
    query = select(WebhookMessage.next_attempt_at, clock()).where(WebhookMessage.prediction_id == row.id)
    async with database.reading() as connection:
        next_attempt, now = (await connection.execute(query)).one()
    assert 290 < (next_attempt - now).total_seconds() <= 300


async def test_as_replicate_does_it_a_message_is_given_up_within_a_minute(
    settings: Settings, rows: Rows, sender: Sender, receiver: Receiver
) -> None:
    sender.settings = settings.model_copy(update={"webhook_retries": "replicate"})
    [row] = await owing(rows, receiver.url, 1)
    receiver.answers = [500] * 7
    for _ in range(8):
        await due(rows)
        await sender.deliver(NO_QUEUE, row.id)
    [message] = await rows.messages(row.id)
    assert (message.state, message.attempts) == ("dead", 7)
    assert message.reason == "Given up after 7 attempts: HTTP 500"


async def test_a_replay_of_ten_thousand_is_rung_for_by_age_a_batch_at_a_time(
    settings: Settings, rows: Rows, redis: RedisPool
) -> None:
    ids = await rows.given_up("http://127.0.0.1:9/hook", 10_000)
    assert await webhook_messages.replay_since(rows.database, rows.account_id, LONG_AGO, "dead") == len(ids)
    await redis.delete(DUE_QUEUE)
    await Sweep(settings, rows.database, new_id())._ring_for_webhooks()
    rung = [job.args[0] for job in await redis.queued_jobs(queue_name=DUE_QUEUE)]
    assert rung == ids[:500]
