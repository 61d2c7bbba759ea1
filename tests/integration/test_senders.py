"""Sender processes that are killed, stopped, doubled and cut off: every message comes, with one id and one body."""

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from multiprocessing.context import ForkServerProcess

import pytest
import standardwebhooks
from sqlalchemy import Row, func, select

from shared import webhook_messages
from shared.contract import WebhookEvent
from shared.database import Database
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import WebhookMessage
from tests.database_fixtures import LONG_AGO, Backend, Rows, outage, until
from tests.receiver import Delivery, Receiver, SlowReceiver, serving
from tests.senders import Senders, senders

COMPLETED = (WebhookEvent.COMPLETED,)
KILLS = [6, pytest.param(13, marks=pytest.mark.slow)]
"""Of each kind; there are four."""


@pytest.fixture
def several(settings: Settings) -> Iterator[Senders]:
    """Senders to be started."""
    with senders(settings) as started:
        yield started


async def owing(rows: Rows, url: str, number: int) -> list[Row]:
    return [await rows.ended(webhook=url, webhook_events=COMPLETED) for _ in range(number)]


async def states(database: Database) -> dict[str, int]:
    query = select(WebhookMessage.state, func.count().label("number")).group_by(WebhookMessage.state)
    async with database.reading() as connection:
        return {row.state: row.number for row in (await connection.execute(query)).all()}


class Killer(Receiver):
    """Kills whoever sends, now and then: before or after it has answered."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.kills_before = self.kills_after = False
        self.victim: ForkServerProcess | None = None

    def take(self, delivery: Delivery) -> int:
        status = super().take(delivery)
        if self.kills_before:
            self._kill()
        return status

    def answered(self) -> None:
        if self.kills_after:
            self._kill()

    def _kill(self) -> None:
        if victim := self.victim:
            self.victim = None
            victim.kill()


@pytest.fixture
def killer() -> Iterator[Killer]:
    with serving(Killer) as receiver:
        yield receiver


async def gone(process: ForkServerProcess) -> None:
    await until(lambda: not process.is_alive(), 20)


@pytest.mark.parametrize("kills", KILLS)
async def test_senders_killed_at_any_moment_deliver_everything_under_one_id_and_with_one_body(
    rows: Rows, several: Senders, killer: Killer, kills: int
) -> None:
    async def sees_it_claimed(sender: ForkServerProcess) -> None:
        await until(lambda: _has_others(rows.database, earlier))
        sender.kill()
        killer.may_answer.set()

    async def kills_before_the_answer(sender: ForkServerProcess) -> None:
        killer.kills_before, killer.kills_after, killer.victim = True, False, sender
        await gone(sender)

    async def kills_after_the_answer(sender: ForkServerProcess) -> None:
        killer.kills_before, killer.kills_after, killer.victim = False, True, sender
        await gone(sender)

    async def kills_some_time(sender: ForkServerProcess) -> None:
        await asyncio.sleep(random.uniform(0, 0.3))
        sender.kill()

    owed: list[Row] = []
    ways = (sees_it_claimed, kills_before_the_answer, kills_after_the_answer, kills_some_time)
    for way in itertools.chain(*itertools.repeat(ways, kills)):
        owed += await owing(rows, killer.url, 2)
        earlier = await _claimants(rows.database)
        if way is sees_it_claimed:
            killer.may_answer.clear()  # both could be delivered between two looks
        sender = several.start()
        await way(sender)
        await gone(sender)
    several.start()
    await until(lambda: _are_all_delivered(rows.database), 30)
    assert_each_came(rows, killer, owed)


async def _claimants(database: Database) -> set[str]:
    """The living one and the dead whose claims nobody has taken over yet."""
    query = select(WebhookMessage.claimed_by).where(WebhookMessage.state == "delivering")
    async with database.reading() as connection:
        return set((await connection.execute(query)).scalars())


async def _has_others(database: Database, earlier: set[str]) -> bool:
    return not await _claimants(database) <= earlier


async def _are_all_delivered(database: Database) -> bool:
    return (await states(database)).keys() == {"delivered"}


def assert_each_came(rows: Rows, receiver: Receiver, owed: list[Row]) -> None:
    """At least once, always with the same id and body, and signed."""
    ids, bodies = defaultdict(set), defaultdict(set)
    for delivery in receiver.deliveries:
        standardwebhooks.Webhook(rows.secret).verify(delivery.body, delivery.headers)
        ids[delivery.json["id"]].add(delivery.headers["webhook-id"])
        bodies[delivery.json["id"]].add(sha256(delivery.body).hexdigest())
    assert ids.keys() == {row.id for row in owed}
    assert {len(each) for each in [*ids.values(), *bodies.values()]} == {1}


def assert_nothing_came_twice(receiver: Receiver, owed: list[Row]) -> None:
    assert Counter(delivery.json["id"] for delivery in receiver.deliveries) == Counter(row.id for row in owed)


async def test_two_senders_at_once_and_a_change_of_guard_send_nothing_twice(
    rows: Rows, several: Senders, receiver: Receiver
) -> None:
    """As in a deploy: the new sender comes, the old one is asked to go, and messages keep coming all the while."""
    old, _ = several.start(), several.start()
    owed = await owing(rows, receiver.url, 40)
    old.terminate()
    several.start()
    owed += await owing(rows, receiver.url, 40)
    await gone(old)
    owed += await owing(rows, receiver.url, 10)
    await until(lambda: _are_all_delivered(rows.database), 30)
    assert_each_came(rows, receiver, owed)
    assert_nothing_came_twice(receiver, owed)


async def test_a_sender_asked_to_go_lets_its_requests_end(
    rows: Rows, several: Senders, slow_receiver: SlowReceiver
) -> None:
    sender = several.start()
    owed = await owing(rows, slow_receiver.url, 6)
    await until(lambda: len(slow_receiver.deliveries) == 4)
    sender.terminate()
    slow_receiver.may_answer.set()
    await gone(sender)
    several.start()
    await until(lambda: _are_all_delivered(rows.database), 30)
    assert_nothing_came_twice(slow_receiver, owed)


async def test_what_a_sender_could_not_end_in_time_is_due_at_once(
    rows: Rows, settings: Settings, slow_receiver: SlowReceiver
) -> None:
    with senders(settings, PINION_DRAIN_SECONDS="0.2") as hurried:
        sender = hurried.start()
        await owing(rows, slow_receiver.url, 1)
        await until(lambda: slow_receiver.deliveries)
        sender.terminate()
        await gone(sender)
        slow_receiver.may_answer.set()
        hurried.start()
        await until(lambda: _are_all_delivered(rows.database))


async def test_messages_that_wait_outlive_an_outage_of_the_database_and_an_emptied_redis(
    servers: Backend, rows: Rows, redis: RedisPool, several: Senders, slow_receiver: SlowReceiver
) -> None:
    sender = several.start()
    owed = await owing(rows, slow_receiver.url, 100)
    await until(lambda: len(slow_receiver.deliveries) == 4)
    async with outage(servers):
        await redis.flushdb()
        slow_receiver.may_answer.set()
        await until(lambda: slow_receiver.at_once == 0)  # answered, and it cannot be noted
        await asyncio.to_thread(sender.join, 3)  # several turns of all that looks into the database regularly
        assert sender.is_alive()
    await until(lambda: _are_all_delivered(rows.database), 60)
    assert_each_came(rows, slow_receiver, owed)
    assert_nothing_came_twice(slow_receiver, owed)


async def test_what_is_new_does_not_wait_for_a_long_replay(rows: Rows, several: Senders, receiver: Receiver) -> None:
    number = 600
    ids = await rows.given_up(f"{receiver.url}/again", number)
    several.start()
    assert await webhook_messages.replay_since(rows.database, rows.account_id, LONG_AGO, "dead") == number
    await until(lambda: receiver.deliveries)
    [news] = await owing(rows, f"{receiver.url}/new", 1)
    await until(lambda: _are_all_delivered(rows.database), 60)
    [told] = await rows.messages(news.id)
    came = [delivery.headers["webhook-id"] for delivery in receiver.deliveries]
    assert came.index(told.id) < number / 2
    came.remove(told.id)
    assert sorted(came) == ids
