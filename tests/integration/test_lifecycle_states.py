"""A prediction's life under whatever two competing workers, a client and a sweep may do to it, in any order.

Hypothesis makes up the order; a small model beside says what has to come out. On SQLite, whose transactions are the
stricter test: whatever is wrong here is wrong on Postgres as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule
from sqlalchemy import Row

from shared import lifecycle
from shared.contract import TERMINAL, Status, WebhookEvent
from shared.database import Database, Transaction, clock
from shared.lifecycle import Ending, Progress
from shared.live import Chunk
from shared.queue import open_redis
from shared.settings import Settings
from shared.tables import Prediction
from tests.database_fixtures import Rows, alembic

WORKERS = st.sampled_from(["alice", "bob"])
ENDS = st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED])
DIES = st.sampled_from([False, False, False, True])
IS_LATE = st.sampled_from([False, False, True])
RARELY = st.sampled_from([False, False, False, True])
HOOK = "http://127.0.0.1:9/hook"
EDGES = {
    (Status.STARTING, Status.PROCESSING),
    (Status.PROCESSING, Status.STARTING),
    *((status, end) for status in (Status.STARTING, Status.PROCESSING) for end in TERMINAL - {Status.ABORTED}),
    (Status.STARTING, Status.ABORTED),
}


class World:
    """One SQLite file and one event loop for all examples; each example has a prediction of its own."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder / 'states.db'}"
        alembic("upgrade", url, folder, "head")
        self.runner = asyncio.Runner()
        # Redis is away all the time: what is told stands in the outbox, and nothing may depend on its arrival.
        quick = Settings(home=folder, database_url=url, redis_url=f"unix://{folder / 'nobody.sock'}")
        self.database = Database(quick, open_redis(quick.redis_url))
        self.database.send = self._take  # type: ignore[method-assign]
        self.told: list[Any] = []
        self.rows: Rows = self.runner.run(Rows.made(self.database))

    def close(self) -> None:
        self.runner.run(self.database.close())
        self.runner.close()

    async def _take(self, outbox: list[Any]) -> None:
        self.told += outbox


@pytest.fixture(scope="module", autouse=True)
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    Life.world = World(tmp_path_factory.mktemp("states"))
    yield
    Life.world.close()


class Abandoned(Exception):
    """A worker died before its commit."""


class Life(RuleBasedStateMachine):
    """Claims, records, endings, cancels, redeliveries and failures, with rows seen now or long ago."""

    world: World
    seen = Bundle("seen")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.now: Any = None
        """The prediction's row before the step under way."""
        self.died = False
        self.records = 0
        self.told_at_the_end: list[Any] = []

    def run(self, coroutine: Any) -> Any:
        return self.world.runner.run(coroutine)

    def change(self, statements: Callable[[Transaction], Awaitable[Any]], dies: bool = False) -> Any:
        """Run in one transaction, which is lost if the caller dies before the commit."""

        async def write() -> Any:
            async with self.world.database.transaction() as transaction:
                answer = await statements(transaction)
                if dies:
                    raise Abandoned
            return answer

        self.world.told, self.died = [], dies
        try:
            return self.run(write())
        except Abandoned:
            return None

    @initialize(target=seen, events=st.sampled_from([tuple(WebhookEvent), (WebhookEvent.COMPLETED,)]))
    def create(self, events: tuple[WebhookEvent, ...]) -> Row[Any]:
        self.now = self.run(self.world.rows.waiting(webhook=HOOK, webhook_events=events, streams=True))
        return self.now

    @rule(targets=(seen, attempts), worker=WORKERS, row=seen, is_late=IS_LATE, dies=DIES)
    def claim(self, worker: str, row: Row[Any], is_late: bool, dies: bool) -> Any:
        wanted = row if is_late else self.now
        claimed = self.change(
            lambda transaction: lifecycle.claim(transaction, [(wanted.id, wanted.delivery)], worker), dies
        )
        if dies:
            return multiple()
        assert bool(claimed) == (self.now.status == Status.STARTING and self.now.delivery == wanted.delivery)
        return claimed[wanted.id] if claimed else multiple()

    @rule(row=attempts, number=st.integers(1, 1000), dies=DIES)
    def record(self, row: Row[Any], number: int, dies: bool) -> None:
        saved = Progress(row.id, row.attempt, ["item"] * number, "", {})
        self.records += 1
        is_mine = self.change(
            lambda transaction: lifecycle.record(transaction, saved, WebhookEvent.OUTPUT, self.records), dies
        )
        assert dies or is_mine == self.may_write(row)

    @rule(row=attempts, status=ENDS, dies=DIES)
    def finish(self, row: Row[Any], status: Status, dies: bool) -> None:
        ending = Ending(row, status, None, Progress(row.id, row.attempt, ["end"], "", {}), row.started_at)
        is_mine = self.change(lambda transaction: lifecycle.finish(transaction, ending), dies)
        assert dies or is_mine == (self.may_write(row) or self.has_ended_so(ending))

    @precondition(lambda self: self.now.status == Status.PROCESSING)
    @rule(dies=DIES)
    def cancel_running(self, dies: bool) -> None:
        self.change(lambda transaction: lifecycle.cancel(transaction, self.now.id), dies)
        after = self.read()
        assert after.status == Status.PROCESSING
        assert dies or after.cancel_requested_at is not None

    @rule(is_meant=RARELY)
    def cancel_whatever_it_does(self, is_meant: bool) -> None:
        if is_meant:
            self.change(lambda transaction: lifecycle.cancel(transaction, self.now.id))
            ended = {Status.STARTING: Status.CANCELED}
            assert self.read().status == ended.get(self.now.status, self.now.status)

    @rule(target=seen, row=seen, is_late=IS_LATE, is_from_nothing=st.booleans())
    def redeliver(self, row: Row[Any], is_late: bool, is_from_nothing: bool) -> Any:
        read = row if is_late else self.now
        if read.status in TERMINAL:  # the sweep looks at others only
            return multiple()
        again = lifecycle.begin_again if is_from_nothing else lifecycle.redeliver
        fresh = self.change(lambda transaction: again(transaction, read))
        assert (fresh is not None) == self.is_unchanged(read)
        assert fresh is None or fresh.output == (None if is_from_nothing else self.now.output)
        return fresh or multiple()

    @rule(row=seen, is_meant=RARELY)
    def cancel_lost(self, row: Row[Any], is_meant: bool) -> None:
        if is_meant and row.status not in TERMINAL:
            ended = self.change(lambda transaction: lifecycle.cancel_lost(transaction, row, row.output))
            assert (ended is not None) == self.is_unchanged(row)

    @rule(is_meant=RARELY, dies=DIES)
    def expire(self, is_meant: bool, dies: bool) -> None:
        if is_meant:
            self.move_deadline(clock(-1))
            self.change(lambda transaction: lifecycle.expire(transaction, self.now.id), dies)
            self.move_deadline(None)
            ended = {} if dies else {Status.STARTING: Status.ABORTED}
            assert self.read().status == ended.get(self.now.status, self.now.status)

    @rule(is_meant=RARELY)
    def fail(self, is_meant: bool) -> None:
        if is_meant:
            failed = self.change(
                lambda transaction: lifecycle.fail(transaction, self.now, "It broke.", self.now.output)
            )
            assert (failed is not None) == (self.now.status not in TERMINAL)

    @invariant()
    def everything_is_as_it_should(self) -> None:
        if self.now is not None:
            row = self.read()
            if self.died:
                assert row == self.now
                assert self.world.told == []
            self.check_status(row, self.now)
            self.check_numbers(row, self.now)
            self.check_moments(row)
            self.check_messages(row)
            self.now, self.died = row, False

    def check_status(self, row: Row[Any], last: Row[Any]) -> None:
        """It moves along known edges, stops at the end, and the stream hears of the end once."""
        assert row.status == last.status or (last.status, row.status) in EDGES
        last_words = [word for word in self.world.told if isinstance(word, Chunk) and word.finished]
        if last.status in TERMINAL:
            assert row == last
            assert not last_words or self.world.told == self.told_at_the_end
        elif row.status in TERMINAL:
            assert len(last_words) == 1
            self.told_at_the_end = self.world.told

    def check_numbers(self, row: Row[Any], last: Row[Any]) -> None:
        assert last.attempt <= row.attempt <= row.delivery
        assert last.delivery <= row.delivery

    def check_moments(self, row: Row[Any]) -> None:
        known = [moment for moment in (row.created_at, row.started_at, row.completed_at) if moment is not None]
        assert known == sorted(known)
        assert (row.completed_at is not None) == (row.status in TERMINAL)
        assert row.started_at is None or row.status != Status.STARTING

    def check_messages(self, row: Row[Any]) -> None:
        """`completed` is owed once, at the end and behind everything else."""
        owed = [message.event for message in self.run(self.world.rows.messages(row.id))]
        assert owed.count("completed") == (row.status in TERMINAL)
        assert "completed" not in owed[:-1]

    def move_deadline(self, moment: Any) -> None:
        if self.now.status not in TERMINAL:
            self.run(self.world.rows.change(Prediction, Prediction.id == self.now.id, deadline=moment))

    def read(self) -> Row[Any]:
        return self.run(self.world.rows.prediction(self.now.id))

    def has_ended_so(self, ending: Ending) -> bool:
        """Then it is repeated because its answer was lost, and only told again."""
        now = self.now
        is_same = (now.attempt, now.completed_at) == (ending.row.attempt, ending.completed_at)
        return is_same and now.status == ending.status

    def may_write(self, attempt: Row[Any]) -> bool:
        return self.now.status == Status.PROCESSING and self.now.attempt == attempt.attempt

    def is_unchanged(self, then: Row[Any]) -> bool:
        now = self.now
        return (now.status, now.attempt, now.delivery) == (then.status, then.attempt, then.delivery)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=50,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.reuse, Phase.generate],  # add Phase.shrink to understand a failure: it takes minutes here
)
