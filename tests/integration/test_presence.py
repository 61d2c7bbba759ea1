"""A worker is known to live while it does, hears what to cancel, and comes back after it was taken for dead."""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Row, insert, select
from structlog.testing import capture_logs

from shared import lifecycle
from shared.contract import Status
from shared.database import Database, clock
from shared.ids import new_id
from shared.live import CancelRequest, Feed, cancel_channel
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Prediction, Worker
from tests.database_fixtures import Backend, PrivateValkey, Rows, outage, redis_at, until
from worker.life_sign import sign_of
from worker.presence import HOST, Presence


class Canceled(list[str]):
    """What a worker was told to cancel, and what to interrupt because it no longer counts."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupted: list[str] = []


@pytest.fixture
def canceled() -> Canceled:
    return Canceled()


@pytest.fixture
def presence(settings: Settings, database: Database, feed: Feed, canceled: Canceled) -> Presence:
    quick = settings.model_copy(update={"heartbeat_seconds": 0.01})
    return Presence(quick, database, feed, canceled.append, canceled.interrupted.append, dict)


@pytest.fixture
def silent_presence(settings: Settings, database: Database, feed: Feed, canceled: Canceled) -> Presence:
    """One whose next heartbeat never comes."""
    return Presence(
        settings.model_copy(update={"heartbeat_seconds": 3600.0}),
        database,
        feed,
        canceled.append,
        canceled.interrupted.append,
        dict,
    )


async def worker_row(rows: Rows, worker_id: str) -> Row[Any]:
    return await rows.one(Worker, Worker.id == worker_id)


def is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


async def test_a_worker_is_announced_and_signs_off(settings: Settings, rows: Rows, presence: Presence) -> None:
    async with presence.announced():
        row = await worker_row(rows, presence.id)
        assert (row.host, row.is_lost) == (HOST, False)
        assert is_locked(sign_of(settings.home, presence.id))
    assert (await worker_row(rows, presence.id)).is_lost
    assert not sign_of(settings.home, presence.id).exists()


async def test_its_lease_is_renewed_while_it_lives(rows: Rows, presence: Presence) -> None:
    async with presence.announced():
        await rows.change(Worker, Worker.id == presence.id, last_seen=clock(-100))
        await until(lambda: _was_seen_lately(rows, presence.id))


async def _was_seen_lately(rows: Rows, worker_id: str) -> bool:
    seen = select(Worker.id).where(Worker.id == worker_id, Worker.last_seen > clock(-10))
    async with rows.database.reading() as connection:
        return await connection.scalar(seen) is not None


async def test_a_word_to_cancel_is_heard_at_once(
    database: Database, redis: RedisPool, silent_presence: Presence, canceled: Canceled
) -> None:
    async with silent_presence.announced():
        await until(lambda: _is_followed(redis, silent_presence.id))
        await database.send([CancelRequest(silent_presence.id, "p1"), CancelRequest("another", "p2")])
        await until(lambda: canceled == ["p1"])


async def _is_followed(redis: RedisPool, worker_id: str) -> bool:
    name = cancel_channel(worker_id)
    return bool(dict(await redis.pubsub_numsub(name))[name.encode()])


async def test_a_word_that_was_lost_comes_with_the_next_heartbeat(
    rows: Rows, presence: Presence, canceled: Canceled
) -> None:
    async with presence.announced():
        mine, other = await rows.waiting(), await rows.running("another")
        with presence.carrying(mine.id):
            await rows.claimed(mine, presence.id)
            for row in (mine, other):
                await rows.change(Prediction, Prediction.id == row.id, cancel_requested_at=clock())
            await until(lambda: canceled)
        assert set(canceled) == {mine.id}


async def test_a_claim_whose_answer_was_lost_is_given_back_and_one_a_job_carries_is_not(
    rows: Rows, presence: Presence
) -> None:
    async with presence.announced():
        carried = await rows.waiting()
        with presence.carrying(carried.id):
            await rows.claimed(carried, presence.id)
            unknown, other = await rows.running(presence.id), await rows.running("another")
            await until(lambda: _is_disowned(rows, unknown.id))
            assert not await _is_disowned(rows, carried.id)
            assert await rows.prediction(other.id) == other
        await until(lambda: _is_disowned(rows, carried.id))


async def test_what_a_stop_cuts_off_stays_its_own_until_it_has_signed_off(rows: Rows, presence: Presence) -> None:
    async with presence.announced():
        presence.keep_claims()
        row = await rows.running(presence.id)
        await rows.change(Worker, Worker.id == presence.id, last_seen=clock(-100))
        await until(lambda: _was_seen_lately(rows, presence.id))
        assert (await worker_row(rows, presence.id)).stopped_at is None
    assert (await rows.prediction(row.id)).worker_id == presence.id
    gone = await worker_row(rows, presence.id)
    assert gone.is_lost
    assert gone.stopped_at >= gone.last_seen


async def _is_disowned(rows: Rows, prediction_id: str) -> bool:
    row = await rows.prediction(prediction_id)
    return row.status == Status.PROCESSING and row.worker_id is None


async def test_a_worker_taken_for_dead_comes_back_under_a_new_name(
    settings: Settings, database: Database, redis: RedisPool, rows: Rows, presence: Presence, canceled: Canceled
) -> None:
    async with presence.announced():
        old = presence.id
        await rows.change(Worker, Worker.id == old, is_lost=True)
        await until(lambda: presence.id != old)
        await until(lambda: _was_seen_lately(rows, presence.id))
        assert not (await worker_row(rows, presence.id)).is_lost
        assert (await worker_row(rows, old)).is_lost
        assert is_locked(sign_of(settings.home, presence.id))
        await until(lambda: _is_followed(redis, presence.id))
        await database.send([CancelRequest(presence.id, "p1")])
        await until(lambda: canceled == ["p1"])


async def test_what_a_worker_taken_for_dead_still_runs_is_interrupted(
    rows: Rows, presence: Presence, canceled: Canceled
) -> None:
    async with presence.announced():
        old = presence.id
        with presence.carrying("p1"):
            await rows.change(Worker, Worker.id == old, is_lost=True)
            await until(lambda: canceled.interrupted)
        assert (set(canceled.interrupted), canceled) == ({"p1"}, [])


async def test_nothing_of_a_former_name_is_left_in_the_folder(
    settings: Settings, rows: Rows, presence: Presence
) -> None:
    async with presence.announced():
        for _ in range(3):
            old = presence.id
            await rows.change(Worker, Worker.id == old, is_lost=True)
            await until(lambda old=old: presence.id != old)
            await until(lambda: _was_seen_lately(rows, presence.id))
        assert [path.stem for path in (settings.home / "run").iterdir()] == [presence.id]


async def test_what_it_tells_of_its_models_stands_in_its_row_and_is_written_again_under_a_new_name(
    settings: Settings, database: Database, feed: Feed, rows: Rows
) -> None:
    told: dict[str, Any] = {"versions": []}
    quick = settings.model_copy(update={"heartbeat_seconds": 0.01})
    presence = Presence(quick, database, feed, lambda _: None, lambda _: None, lambda: told.copy())
    async with presence.announced():
        await until(lambda: _tells(rows, presence.id, {"versions": []}))
        told["versions"] = [{"state": "warm"}]
        await until(lambda: _tells(rows, presence.id, {"versions": [{"state": "warm"}]}))
        old = presence.id
        await rows.change(Worker, Worker.id == old, is_lost=True)
        await until(lambda: presence.id != old)
        await until(lambda: _tells(rows, presence.id, {"versions": [{"state": "warm"}]}))


async def _tells(rows: Rows, worker_id: str, report: dict[str, Any]) -> bool:
    return (await worker_row(rows, worker_id)).report == report


async def test_an_outage_of_the_database_does_not_end_the_heartbeat(
    servers: Backend, rows: Rows, presence: Presence
) -> None:
    async with presence.announced():
        await _survived(servers)
        await rows.change(Worker, Worker.id == presence.id, last_seen=clock(-100))
        await until(lambda: _was_seen_lately(rows, presence.id))


async def _survived(servers: Backend) -> None:
    """An outage that the heartbeat has noticed, if one can notice it."""
    with capture_logs() as logs:
        async with outage(servers):
            await until(lambda: servers.name == "embedded" or _failed_heartbeats(logs))


def _failed_heartbeats(logs: Sequence[Any]) -> bool:
    return any(entry["event"] == "heartbeat failed" for entry in logs)


async def test_a_new_name_is_not_used_before_the_database_knows_it(
    settings: Settings, database: Database, feed: Feed, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    presence = Presence(
        settings.model_copy(update={"heartbeat_seconds": 0.4}), database, feed, lambda _: None, lambda _: None, dict
    )
    async with presence.announced():
        old, taken = presence.id, new_id()
        another = {"id": taken, "host": "elsewhere", "is_lost": True, "last_seen": clock(), "created_at": clock()}
        async with database.transaction() as transaction:
            await transaction.execute(insert(Worker).values(**another))
        # The first name it comes up with is refused, as every one would be in an outage.
        names = iter([taken])
        monkeypatch.setattr("worker.presence.new_id", lambda: next(names, None) or new_id())
        with capture_logs() as logs:
            await rows.change(Worker, Worker.id == old, is_lost=True)
            await until(lambda: _failed_heartbeats(logs))
        assert presence.id == old
        await until(lambda: _was_seen_lately(rows, presence.id))


async def test_a_restart_of_redis_does_not_end_the_heartbeat(
    settings: Settings, rows: Rows, valkey: PrivateValkey, canceled: Canceled
) -> None:
    quick = settings.model_copy(update={"heartbeat_seconds": 0.01})
    async with (
        redis_at(valkey.url) as redis,
        redis_at(valkey.url, is_listening=True) as listening,
        Feed(listening) as feed,
    ):
        presence = Presence(quick, rows.database, feed, canceled.append, canceled.interrupted.append, dict)
        async with presence.announced():
            await until(lambda: _is_followed(redis, presence.id))
            valkey.kill()
            await rows.change(Worker, Worker.id == presence.id, last_seen=clock(-100))
            await until(lambda: _was_seen_lately(rows, presence.id))
            await asyncio.to_thread(valkey.start)
            await until(lambda: _is_followed(redis, presence.id))
            row = await rows.waiting()
            with presence.carrying(row.id):
                await rows.claimed(row, presence.id)
                async with rows.database.transaction() as transaction:
                    await lifecycle.cancel(transaction, row.id)
                await until(lambda: row.id in canceled)


async def test_signing_off_without_a_database_ends_all_the_same(
    servers: Backend, settings: Settings, presence: Presence
) -> None:
    if servers.name == "embedded":
        pytest.skip("a locked file makes a writer wait rather than fail")
    async with presence.announced(), outage(servers):
        worker_id = presence.id
    assert presence.id == worker_id
