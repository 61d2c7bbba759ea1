"""The reconciler: puts back into Redis what it lost, and ends or repeats what a dead worker left behind.

Every repair is a conditional change through `lifecycle`, so running twice does no harm; a lease keeps it single.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from redis.exceptions import RedisError
from sqlalchemy import Row, Select, and_, delete, func, insert, or_, select, text, tuple_, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from shared import files, lifecycle, run_counts, trainings
from shared.contract import Status, VersionStatus
from shared.database import Database, clock
from shared.file_store import remove_stale
from shared.live import joined, replay, silence
from shared.queue import BUILD_QUEUE, DUE_QUEUE, BuildJob, DeliverJob, job_of, missing
from shared.settings import Settings
from shared.tables import DONE_WITH, OPEN, Leadership, Model, Prediction, Version, WebhookMessage, Worker
from shared.tasks import end
from worker import life_sign
from worker.abandoned import reason_to_fail
from worker.cell import remove_abandoned
from worker.claims import released
from worker.files import existing_folders
from worker.idle_queues import close_idle_queues
from worker.retention import Retention

TICK_SECONDS = 1.0
_SETTLED_SECONDS = 2.0
"""Younger rows may still be on their way into Redis."""
_BATCH = 500
_LEADER_SECONDS = 5.0
_REDIS_SECONDS = 2.0
"""A Redis that hangs must not hold up what can be done without it; its own client would wait for twenty."""
_DELIVERIES_MAX = 20
"""Lanes at once while Redis is away."""
_FORGET_EVERY = timedelta(hours=1)
_WORKERS_KEPT = timedelta(days=1)
_MESSAGES_KEPT = timedelta(days=30)
_ABANDONED: Select[Any] = (
    select(*Prediction.__table__.c, Model.rerun, Worker.stopped_at)
    .join(Version, Version.id == Prediction.version_id)
    .join(Model, Model.id == Version.model_id)
    .outerjoin(Worker, Worker.id == Prediction.worker_id)
)
"""Predictions with what decides on them: the policy of their version's model, and the end of their worker."""
_log = structlog.get_logger()


def _due_lanes() -> Select[str]:
    """Those with messages due for another attempt, or for so long that their job must have been lost."""
    is_due = and_(text(OPEN), WebhookMessage.next_attempt_at < clock())
    is_meant = or_(WebhookMessage.attempts > 0, WebhookMessage.next_attempt_at < clock(-_SETTLED_SECONDS))
    # By turns of accounts and their receivers: no backlog must fill the batch. What is oldest comes first.
    account, receiver = WebhookMessage.account_id, (WebhookMessage.account_id, WebhookMessage.host)
    age = (WebhookMessage.created_at, WebhookMessage.id)
    place = func.row_number().over(partition_by=receiver, order_by=age)
    due = select(WebhookMessage.lane, account, *age, place.label("place")).where(is_due, is_meant).subquery()
    turn = func.row_number().over(partition_by=due.c.account_id, order_by=(due.c.place, due.c.created_at, due.c.id))
    rung = select(due.c.lane, turn.label("turn")).subquery()
    return select(rung.c.lane).group_by(rung.c.lane).order_by(func.min(rung.c.turn))


_DUE_LANES = _due_lanes()


@dataclass(slots=True)
class Sweep:
    """Runs beside the senders; `id` names this process in the leadership row and in its sign of life."""

    settings: Settings
    database: Database
    id: str
    deliver: Callable[[str], Awaitable[None]] | None = None
    """Sends what is due in a lane, without the queue."""
    _quiet_until: float = 0.0
    _answered_at: float = field(default_factory=monotonic)
    """When the database last took a write of ours."""
    _grace_seconds: float = 0.0
    """For how long others may have waited for it lately, as we did, to say that they live."""
    _place: tuple[datetime, str] | None = None
    _remembers_until: float = 0.0
    _delivering: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """For ever, a tick a second. After an outage nobody is declared dead until a full lease has passed."""
        self._be_quiet()
        try:
            while True:
                try:
                    await self.tick()
                except (SQLAlchemyError, RedisError, OSError) as error:
                    _log.warning("sweep interrupted", error=type(error).__name__)
                    self._be_quiet()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            await end(*self._delivering.values())

    def _be_quiet(self) -> None:
        self._quiet_until = monotonic() + self.settings.lease_seconds

    async def tick(self) -> None:
        """Everything once."""
        await self._notice_the_dead()
        leads = await self._lead()
        self._note_answer()
        if not leads:
            return
        if monotonic() > self._quiet_until:
            await self._declare_silent_lost()
        await self._end_overdue()
        await self._end_what_waits_too_long()
        await self._ring_for_webhooks()  # before all that cannot go on without Redis
        await self._release_lost()
        await self._requeue_predictions()
        await self._requeue_builds()
        await Retention(self.settings, self.database).apply()
        await self._forget_the_past()

    def _note_answer(self) -> None:
        """More than a tick since the last one is time in which nobody could write; it is forgotten as it passes."""
        waited = monotonic() - self._answered_at
        self._answered_at += waited
        self._grace_seconds = max(waited - TICK_SECONDS, self._grace_seconds - waited, 0.0)

    async def _notice_the_dead(self) -> None:
        """What processes of this host had when they died, however silently, is free at once; what they began ends."""
        dead = life_sign.dead(self.settings.home)
        if not dead:
            return
        _log.warning("processes died", ids=dead)
        async with self.database.transaction() as transaction:
            await transaction.execute(update(Worker).where(Worker.id.in_(dead)).values(is_lost=True))
            await transaction.execute(released(dead))
            await transaction.execute(update(Leadership).where(Leadership.holder.in_(dead)).values(until=clock()))
        await asyncio.to_thread(remove_abandoned)
        life_sign.bury(self.settings.home, dead)

    async def _lead(self) -> bool:
        term = {"holder": self.id, "until": clock(_LEADER_SECONDS)}
        is_free = or_(Leadership.holder == self.id, Leadership.until < clock())
        statement = update(Leadership).where(Leadership.name == "sweep", is_free).values(**term)
        try:
            async with self.database.transaction() as transaction:
                if (await transaction.execute(statement)).rowcount:
                    return True
                known = await transaction.execute(select(Leadership.name).where(Leadership.name == "sweep"))
                if known.one_or_none():
                    return False
                await transaction.execute(insert(Leadership).values(name="sweep", **term))
                return True
        except IntegrityError:  # another one was quicker
            return False

    async def _declare_silent_lost(self) -> None:
        seconds = self.settings.lease_seconds + self._grace_seconds
        silent = (Worker.is_lost.is_(False), Worker.last_seen < clock(-seconds))
        async with self.database.transaction() as transaction:
            lost = await transaction.execute(update(Worker).where(*silent).values(is_lost=True).returning(Worker.id))
        if ids := lost.scalars().all():
            _log.warning("worker silent for a lease", worker_ids=ids)

    async def _end_overdue(self) -> None:
        """Predictions that have outlived their deadline, waiting or running, with a living worker or a dead one."""
        query = select(Prediction.id).where(Prediction.completed_at.is_(None), lifecycle.IS_OVERDUE).limit(_BATCH)
        async with self.database.reading() as connection:
            ids = (await connection.execute(query)).scalars().all()
        for prediction_id in ids:
            async with self.database.transaction() as transaction:
                await trainings.expire(transaction, prediction_id)

    async def _end_what_waits_too_long(self) -> None:
        seconds = self.settings.queue_seconds
        if not seconds:
            return
        is_old = and_(Prediction.status == Status.STARTING, Prediction.queued_at < clock(-seconds))
        query = select(Prediction.__table__).where(is_old).order_by(Prediction.queued_at).limit(_BATCH)
        async with self.database.reading() as connection:
            rows = (await connection.execute(query)).all()
        for row in rows:
            async with self.database.transaction() as transaction:
                await lifecycle.outwait(transaction, row, seconds)

    async def _release_lost(self) -> None:
        """Predictions of nobody or of lost workers run again or fail, as their models' policy has it."""
        for row in sorted(await self._abandoned(), key=lambda row: bool(row.stream_token)):  # streams need Redis
            await self._release(row)

    async def _abandoned(self) -> Sequence[Row[Any]]:
        is_lost = or_(Worker.id.is_(None), Worker.is_lost.is_(True))
        query = _ABANDONED.where(Prediction.status == Status.PROCESSING, is_lost).limit(_BATCH)
        async with self.database.reading() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return rows

    async def _release(self, row: Row[Any]) -> None:
        output = await self._last_words(row) if row.stream_token else row.output
        has_output = output is not None
        async with self.database.transaction() as transaction:
            if row.cancel_requested_at:
                await lifecycle.cancel_lost(transaction, row, output)
            elif why := reason_to_fail(row, has_output=has_output):
                await lifecycle.fail(transaction, row, why, output)
            elif row.trained_version_id:  # only the build is waited for, and what train() said belongs to the end
                await lifecycle.redeliver(transaction, row)
            else:
                await lifecycle.begin_again(transaction, row)
        _log.info("released from a lost worker", prediction_id=row.id, had_output=has_output)

    async def _last_words(self, row: Row[Any]) -> list[Any] | None:
        """All that the attempt has said, which may be more than was saved. It may be alive, but is heard no more."""
        async with asyncio.timeout(_REDIS_SECONDS):
            await silence(self.database.redis, row.id, row.attempt)
            said = [chunk for chunk in await replay(self.database.redis, row.id) if chunk.attempt == row.attempt]
        return joined(row.output or [], said) or None

    async def _requeue_predictions(self) -> None:
        """Walk the waiting rows, a batch a tick and on at once while batches have losses."""
        while True:
            rows = await self._waiting_batch()
            lost = await self._lost(rows)
            for row in lost:
                await self._requeue(row)
            self._place = (rows[-1].queued_at, rows[-1].id) if len(rows) == _BATCH else None
            if not lost or self._place is None:
                return

    async def _waiting_batch(self) -> list[Row[Any]]:
        settled = Prediction.queued_at < clock(-_SETTLED_SECONDS)
        query = select(Prediction.__table__).where(Prediction.status == Status.STARTING, settled)
        if self._place:
            query = query.where(tuple_(Prediction.queued_at, Prediction.id) > tuple_(*self._place))
        query = query.order_by(Prediction.queued_at, Prediction.id).limit(_BATCH)
        async with self.database.reading() as connection:
            return list((await connection.execute(query)).all())

    async def _lost(self, rows: list[Row[Any]]) -> list[Row[Any]]:
        jobs = [job_of(row) for row in rows]
        async with asyncio.timeout(_REDIS_SECONDS):
            gone = await missing(self.database.redis, [(job.queue, job.job_id) for job in jobs])
        return [row for row, is_gone in zip(rows, gone, strict=True) if is_gone]

    async def _requeue(self, row: Row[Any]) -> None:
        async with self.database.transaction() as transaction:
            if await lifecycle.redeliver(transaction, row):  # it may just have been run to its end
                _log.info("queued again", prediction_id=row.id, delivery=row.delivery + 1)

    async def _requeue_builds(self) -> None:
        settled = Version.queued_at < clock(-_SETTLED_SECONDS)
        query = select(Version.id, Version.delivery).where(Version.status == VersionStatus.BUILDING, settled)
        async with self.database.reading() as connection:
            rows = (await connection.execute(query.limit(_BATCH))).all()
        async with asyncio.timeout(_REDIS_SECONDS):
            gone = await missing(self.database.redis, [(BUILD_QUEUE, BuildJob(*row).job_id) for row in rows])
        for row in (row for row, is_gone in zip(rows, gone, strict=True) if is_gone):
            same = (Version.id == row.id, Version.delivery == row.delivery)
            again = update(Version).where(*same).values(delivery=Version.delivery + 1, queued_at=clock())
            async with self.database.transaction() as transaction:
                if (await transaction.execute(again)).rowcount:
                    transaction.outbox.append(BuildJob(row.id, row.delivery + 1))

    async def _ring_for_webhooks(self) -> None:
        """Whoever is free is told of what is due."""
        async with self.database.reading() as connection:
            lanes = (await connection.execute(_DUE_LANES.limit(_BATCH))).scalars().all()
        # One key for all of a lane's rings: while one waits in the queue, another does not lengthen it.
        if not await self.database.send([DeliverJob(lane, "due", DUE_QUEUE) for lane in lanes]):
            self._deliver_here(lanes)

    def _deliver_here(self, lanes: Sequence[str]) -> None:
        """Redis is away, so that no sender hears of them; this process is one."""
        free = [lane for lane in lanes if lane not in self._delivering]
        for lane in free[: _DELIVERIES_MAX - len(self._delivering)]:
            self._delivering[lane] = asyncio.create_task(self._deliver(lane))

    async def _deliver(self, lane: str) -> None:
        try:
            if self.deliver:
                await self.deliver(lane)
        except (SQLAlchemyError, OSError) as error:  # its claim lapses, and it is due again
            _log.warning("webhooks not delivered", lane=lane, error=type(error).__name__)
        finally:
            del self._delivering[lane]

    async def _forget_the_past(self) -> None:
        """Now and then, a batch at a time: workers long gone, and messages that are long done with."""
        if monotonic() < self._remembers_until:
            return
        was_long_ago = Worker.last_seen < clock(-_WORKERS_KEPT.total_seconds())
        is_old = WebhookMessage.created_at < clock(-_MESSAGES_KEPT.total_seconds())
        old = select(WebhookMessage.id).where(text(f"({DONE_WITH})"), is_old).limit(_BATCH)
        async with self.database.reading() as connection:
            ids = (await connection.execute(old)).scalars().all()
        async with self.database.transaction() as transaction:
            await transaction.execute(delete(Worker).where(Worker.is_lost.is_(True), was_long_ago))
            await transaction.execute(delete(WebhookMessage).where(WebhookMessage.id.in_(ids)))
        if len(ids) < _BATCH:
            self._remembers_until = monotonic() + _FORGET_EVERY.total_seconds()
        await run_counts.add_up(self.database)
        await close_idle_queues(self.database)
        await self._forget_files()

    async def _forget_files(self) -> None:
        """Those that have expired, and what processes that died have left lying."""
        await files.remove_expired(self.database, self.settings.home)
        await asyncio.to_thread(remove_stale, self.settings.home)
        left = await asyncio.to_thread(existing_folders, self.settings.home)
        is_running = and_(Prediction.id.in_(left), Prediction.status == Status.PROCESSING)
        async with self.database.reading() as connection:
            running = (await connection.execute(select(Prediction.id).where(is_running))).scalars().all()
        for prediction_id in left.keys() - set(running):
            await asyncio.to_thread(shutil.rmtree, left[prediction_id], ignore_errors=True)
