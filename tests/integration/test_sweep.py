"""What got lost is put back, what died is ended or begun again, and what is well is left alone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Row, func, insert, select

from shared import lifecycle
from shared.contract import Status, VersionStatus, WebhookEvent
from shared.database import Database, clock
from shared.file_lock import open_lock, try_lock
from shared.ids import new_id
from shared.lifecycle import Progress
from shared.live import Chunk, channel, replay
from shared.queue import BUILD_QUEUE, DUE_QUEUE, BuildJob, PredictJob, RedisPool, missing, predict_queue
from shared.settings import Settings
from shared.tables import Leadership, Prediction, Version, WebhookMessage, Worker
from shared.tasks import end
from tests.database_fixtures import Backend, PrivateValkey, Rows, outage, redis_at, until
from worker.life_sign import give_sign, living, sign_of
from worker.presence import HOST
from worker.sweep import Sweep

COMPLETED = (WebhookEvent.COMPLETED,)
LONG_AGO = -60.0
DAY = 86_400.0
HOOK = "http://127.0.0.1:9/"
LOST_AFTER_OUTPUT = (
    "The worker was lost after output had started, so the prediction was not run again. Create it again to retry."
)


@pytest.fixture
def sweep(settings: Settings, database: Database) -> Sweep:
    return Sweep(settings, database, new_id())


@asynccontextmanager
async def sweeping(sweep: Sweep) -> AsyncIterator[None]:
    """Runs inside, and is ended between two ticks: a statement cut short would take its connection along."""
    tick, between_ticks = Sweep.tick, asyncio.Event()

    async def watched(sweep: Sweep) -> None:
        between_ticks.clear()
        try:
            await tick(sweep)
        finally:
            between_ticks.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sweep, "tick", watched)
        running = asyncio.create_task(sweep.run())
        try:
            yield
            assert not running.done()
        finally:
            await asyncio.wait({running, asyncio.create_task(between_ticks.wait())}, return_when="FIRST_COMPLETED")
            await end(running)


async def waiting_for_long(rows: Rows, **changes: Any) -> Row[Any]:
    """A prediction that has had time to get into Redis."""
    row = await rows.waiting(**changes)
    await rows.change(Prediction, Prediction.id == row.id, queued_at=clock(LONG_AGO))
    return row


async def forget(redis: RedisPool, row: Row[Any], part: str = "both") -> None:
    """What Redis may lose of a job: its place in the queue, its content, or both."""
    job_id = f"{row.id}:{row.delivery}"
    if part in ("entry", "both"):
        assert await redis.zrem(predict_queue(row.version_id), job_id)
    if part in ("job", "both"):
        assert await redis.delete(f"arq:job:{job_id}")


async def is_queued(redis: RedisPool, row: Row[Any]) -> bool:
    job = PredictJob(row.id, row.delivery, row.version_id)
    return await missing(redis, [(predict_queue(row.version_id), job.job_id)]) == [False]


async def add_worker(rows: Rows, host: str = "elsewhere", seen: float = 0.0) -> str:
    worker_id = new_id()
    row = {"id": worker_id, "host": host, "is_lost": False, "last_seen": clock(seen), "created_at": clock()}
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(Worker).values(**row))
    return worker_id


async def dead_worker(rows: Rows) -> str:
    worker_id = await add_worker(rows)
    await rows.change(Worker, Worker.id == worker_id, is_lost=True)
    return worker_id


def leave_sign(settings: Settings, name: str) -> None:
    """As a process does that was killed: its file is there, and nobody has it locked."""
    descriptor = give_sign(settings.home, name)
    os.close(descriptor)


async def is_lost(rows: Rows, worker_id: str) -> bool:
    return bool((await rows.one(Worker, Worker.id == worker_id)).is_lost)


@pytest.mark.parametrize("part", ["entry", "job", "both"])
async def test_a_waiting_prediction_redis_lost_is_queued_again(
    redis: RedisPool, rows: Rows, sweep: Sweep, part: str
) -> None:
    row = await waiting_for_long(rows)
    await forget(redis, row, part)
    await sweep.tick()
    fresh = await rows.prediction(row.id)
    assert (fresh.status, fresh.delivery) == (Status.STARTING, 2)
    assert await is_queued(redis, fresh)


async def test_one_that_is_queued_is_left_alone(redis: RedisPool, rows: Rows, sweep: Sweep) -> None:
    row = await waiting_for_long(rows)
    before = await rows.prediction(row.id)
    await sweep.tick()
    assert await rows.prediction(row.id) == before
    assert await is_queued(redis, row)


async def test_one_that_may_still_be_on_its_way_into_redis_is_left_alone(
    redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.waiting()
    await forget(redis, row)
    await sweep.tick()
    assert await rows.prediction(row.id) == row


async def test_after_a_repair_nothing_more_is_done(redis: RedisPool, rows: Rows, sweep: Sweep) -> None:
    row = await waiting_for_long(rows)
    await forget(redis, row)
    for _ in range(3):
        await sweep.tick()
    assert (await rows.prediction(row.id)).delivery == 2


async def test_a_wiped_redis_is_filled_again_however_much_was_in_it(
    redis: RedisPool, rows: Rows, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep._BATCH", 3)
    waiting = [await waiting_for_long(rows) for _ in range(10)]
    await redis.flushdb()
    for _ in range(4):
        await sweep.tick()
    repaired = [await rows.prediction(row.id) for row in waiting]
    assert [row.delivery for row in repaired] == [2] * 10
    assert all([await is_queued(redis, row) for row in repaired])


async def test_a_long_backlog_that_is_well_does_not_hide_one_that_is_lost(
    redis: RedisPool, rows: Rows, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep._BATCH", 3)
    *_, last = [await waiting_for_long(rows) for _ in range(10)]
    await forget(redis, last)
    for _ in range(4):
        await sweep.tick()
    assert (await rows.prediction(last.id)).delivery == 2


async def test_however_often_redis_loses_one_it_is_queued_again(redis: RedisPool, rows: Rows, sweep: Sweep) -> None:
    row = await waiting_for_long(rows)
    await forget(redis, row)
    await rows.change(Prediction, Prediction.id == row.id, delivery=100)
    await sweep.tick()
    again = await rows.prediction(row.id)
    assert (again.status, again.delivery) == (Status.STARTING, 101)


async def test_a_prediction_of_a_dead_worker_is_begun_again_if_nobody_saw_output(
    redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.running(await dead_worker(rows))
    await sweep.tick()
    fresh = await rows.prediction(row.id)
    assert (fresh.status, fresh.delivery, fresh.attempt, fresh.worker_id) == (Status.STARTING, 2, 1, None)
    assert await is_queued(redis, fresh)


async def test_a_claimed_prediction_that_nobody_owns_is_begun_again(rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(await add_worker(rows))
    async with rows.database.transaction() as transaction:
        assert await lifecycle.disown(transaction, row)
    await sweep.tick()
    fresh = await rows.prediction(row.id)
    assert (fresh.status, fresh.delivery) == (Status.STARTING, 2)


async def test_one_with_saved_output_fails_keeps_it_and_says_why(rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(await dead_worker(rows), streams=True, webhook="http://127.0.0.1:9/")
    async with rows.database.transaction() as transaction:
        await lifecycle.record(transaction, Progress(row.id, 1, ["half"], "logs", {}), WebhookEvent.OUTPUT, 1)
    await sweep.tick()
    failed = await rows.prediction(row.id)
    assert (failed.status, failed.error) == (Status.FAILED, LOST_AFTER_OUTPUT)
    assert (failed.output, failed.logs) == (["half"], "logs")
    assert (await rows.messages(row.id))[-1].event == "completed"


async def test_one_whose_output_was_streamed_but_not_saved_fails_too(
    database: Database, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.running(await dead_worker(rows), streams=True)
    await database.send([Chunk(row.id, row.attempt, 0, ["seen"])])
    await sweep.tick()
    failed = await rows.prediction(row.id)
    assert (failed.status, failed.error, failed.output) == (Status.FAILED, LOST_AFTER_OUTPUT, ["seen"])


@pytest.mark.parametrize("is_to_be_canceled", [False, True])
async def test_all_that_was_streamed_is_kept_with_what_was_saved(
    database: Database, rows: Rows, sweep: Sweep, is_to_be_canceled: bool
) -> None:
    row = await rows.running(await dead_worker(rows), streams=True)
    async with rows.database.transaction() as transaction:
        await lifecycle.record(transaction, Progress(row.id, 1, ["a", "b"], "", {}), WebhookEvent.OUTPUT, 1)
        if is_to_be_canceled:
            await lifecycle.cancel(transaction, row.id)
    await database.send([Chunk(row.id, 1, 0, ["a"]), Chunk(row.id, 1, 1, ["b", "c"]), Chunk(row.id, 1, 3, ["d"])])
    await sweep.tick()
    ended = await rows.prediction(row.id)
    assert ended.status == (Status.CANCELED if is_to_be_canceled else Status.FAILED)
    assert ended.output == ["a", "b", "c", "d"]


async def test_an_attempt_that_was_taken_for_dead_is_heard_by_nobody_when_it_wakes(
    database: Database, redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.running(await dead_worker(rows), streams=True)
    await sweep.tick()
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel(row.id))
        assert (await pubsub.get_message(timeout=10))["type"] == "subscribe"
        await database.send([Chunk(row.id, 1, 0, ["stale"])])
        again = await rows.claimed(await rows.prediction(row.id), await add_worker(rows))
        fresh = Chunk(row.id, again.attempt, 0, ["fresh"])
        await database.send([fresh, Chunk(row.id, 1, 1, ["stale"])])
        heard = await pubsub.get_message(timeout=10)
        assert msgspec.json.decode(heard["data"], type=Chunk) == fresh
        assert await pubsub.get_message() is None
    assert await replay(redis, row.id) == [fresh]


async def test_one_that_was_to_be_canceled_is_canceled_and_not_begun_again(rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(await dead_worker(rows))
    async with rows.database.transaction() as transaction:
        await lifecycle.cancel(transaction, row.id)
    await sweep.tick()
    assert (await rows.prediction(row.id)).status == Status.CANCELED


async def test_one_that_kills_every_worker_is_given_up_in_the_end(rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(await dead_worker(rows))
    await rows.change(Prediction, Prediction.id == row.id, attempt=20)
    await sweep.tick()
    failed = await rows.prediction(row.id)
    assert failed.status == Status.FAILED
    assert "died again and again" in failed.error


async def test_one_that_moved_on_while_the_sweep_looked_at_it_is_left_alone(
    database: Database, rows: Rows, sweep: Sweep
) -> None:
    seen = await rows.running(await dead_worker(rows), streams=True)
    await database.send([Chunk(seen.id, seen.attempt, 0, ["seen"])])
    [looked_at] = await sweep._abandoned()
    current = await rows.claimed(await rows.redelivered(seen), await add_worker(rows))
    await sweep._release(looked_at)
    assert await rows.prediction(seen.id) == current


async def test_one_that_was_claimed_while_the_sweep_looked_at_it_is_not_given_up(rows: Rows, sweep: Sweep) -> None:
    row = await waiting_for_long(rows)
    await rows.change(Prediction, Prediction.id == row.id, delivery=20)
    seen = await rows.prediction(row.id)
    current = await rows.claimed(seen, await add_worker(rows))
    await sweep._requeue(seen)
    assert await rows.prediction(row.id) == current


async def test_predictions_of_living_workers_are_left_alone(rows: Rows, sweep: Sweep) -> None:
    row = await rows.running(await add_worker(rows))
    await sweep.tick()
    assert await rows.prediction(row.id) == row


async def test_a_worker_of_this_host_whose_lock_is_free_is_dead_at_once(
    settings: Settings, rows: Rows, sweep: Sweep
) -> None:
    worker_id = await add_worker(rows, HOST)
    row = await rows.running(worker_id)
    leave_sign(settings, worker_id)
    await sweep.tick()
    assert await is_lost(rows, worker_id)
    assert (await rows.prediction(row.id)).delivery == 2
    assert not sign_of(settings.home, worker_id).exists()


async def test_a_worker_of_another_host_is_not_judged_by_a_lock_that_may_not_be_seen_here(
    settings: Settings, rows: Rows, sweep: Sweep
) -> None:
    worker_id = await add_worker(rows)
    leave_sign(settings, worker_id)
    sign_of(settings.home, worker_id).write_text("another host")
    await sweep.tick()
    assert not await is_lost(rows, worker_id)


async def test_what_models_of_a_dead_worker_left_goes_when_it_is_noticed(
    settings: Settings, rows: Rows, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    places = {name: tmp_path / f"pinion-model-{name}" for name in ("left", "used")}
    for place in places.values():
        (place / "tmp").mkdir(parents=True)
        (place / "lock").touch()
    leave_sign(settings, await add_worker(rows, HOST))
    used = open_lock(places["used"] / "lock")
    assert try_lock(used)
    left = await asyncio.create_subprocess_exec("sleep", "600", env={"TMPDIR": str(places["left"] / "tmp")})
    await sweep.tick()
    os.close(used)
    assert await left.wait() == -signal.SIGKILL
    assert [place.exists() for place in places.values()] == [False, True]


async def test_a_worker_of_this_host_that_holds_its_lock_lives(settings: Settings, rows: Rows, sweep: Sweep) -> None:
    worker_id = await add_worker(rows, HOST)
    with living(settings.home, worker_id):
        await sweep.tick()
        assert not await is_lost(rows, worker_id)


async def test_a_worker_whose_lock_lies_in_another_folder_is_not_judged_by_it(rows: Rows, sweep: Sweep) -> None:
    worker_id = await add_worker(rows, HOST)
    await sweep.tick()
    assert not await is_lost(rows, worker_id)


@pytest.mark.parametrize(("silent_for", "lost"), [(5.0, False), (15.0, True)])
async def test_a_worker_elsewhere_is_dead_after_a_silent_lease(
    rows: Rows, sweep: Sweep, silent_for: float, lost: bool
) -> None:
    worker_id = await add_worker(rows, seen=-silent_for)
    row = await rows.running(worker_id)
    await sweep.tick()
    assert await is_lost(rows, worker_id) == lost
    assert (await rows.prediction(row.id)).delivery == (2 if lost else 1)


async def test_a_sweep_that_had_to_wait_for_the_database_gives_workers_as_much_more_time(
    rows: Rows, sweep: Sweep
) -> None:
    sweep._answered_at -= 6.0  # five seconds more than a tick
    worker_id = await add_worker(rows, seen=-13)
    await sweep.tick()
    assert not await is_lost(rows, worker_id)
    await rows.change(Worker, Worker.id == worker_id, last_seen=clock(-16))
    await sweep.tick()
    assert await is_lost(rows, worker_id)


async def test_nobody_is_declared_dead_in_the_first_lease_of_a_sweep(
    redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    worker_id = await add_worker(rows, seen=-15)
    row = await waiting_for_long(rows)
    await forget(redis, row)
    async with sweeping(sweep):
        await until(lambda: _delivered_again(rows, row.id))
    assert not await is_lost(rows, worker_id)


async def _delivered_again(rows: Rows, prediction_id: str) -> bool:
    return (await rows.prediction(prediction_id)).delivery > 1


async def test_after_an_outage_of_the_database_the_sweep_goes_on_and_declares_nobody_dead(
    servers: Backend, redis: RedisPool, rows: Rows, sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep.TICK_SECONDS", 0.01)
    worker_id = await add_worker(rows)
    row = await waiting_for_long(rows)
    async with sweeping(sweep):
        await until(lambda: _leads(rows, sweep))
        sweep._quiet_until = 0.0  # its first lease is long over
        async with outage(servers):
            await until(lambda: servers.name == "embedded" or sweep._quiet_until)
        if servers.name == "servers":
            # Workers could not say that they live either.
            await rows.change(Worker, Worker.id == worker_id, last_seen=clock(-15))
        await forget(redis, row)
        await until(lambda: _delivered_again(rows, row.id))
    assert not await is_lost(rows, worker_id)


async def test_the_sweep_outlives_a_restart_of_redis_and_repairs_what_it_lost(
    settings: Settings, rows: Rows, valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweep.TICK_SECONDS", 0.01)
    async with redis_at(valkey.url) as redis:
        database = Database(settings, redis)
        row = await waiting_for_long(rows)  # in the other Redis: this one has never heard of it
        valkey.kill()
        async with sweeping(Sweep(settings, database, "sweep")):
            await asyncio.to_thread(valkey.start)
            await until(lambda: _delivered_again(rows, row.id))
            await until(lambda: _is_queued_again(redis, rows, row.id))  # told after the commit
        await database.close()


async def _is_queued_again(redis: RedisPool, rows: Rows, prediction_id: str) -> bool:
    return await is_queued(redis, await rows.prediction(prediction_id))


async def _leads(rows: Rows, sweep: Sweep) -> bool:
    async with rows.database.reading() as connection:
        holder = await connection.scalar(select(Leadership.holder))
    return bool(holder == sweep.id)


@pytest.mark.parametrize("is_queued", [False, True])
async def test_a_build_redis_lost_is_queued_again(
    database: Database, redis: RedisPool, rows: Rows, sweep: Sweep, is_queued: bool
) -> None:
    version_id = await rows.add_version(status=VersionStatus.BUILDING, queued_at=clock(LONG_AGO), openapi_schema=None)
    if is_queued:
        await database.send([BuildJob(version_id, 1)])
    await sweep.tick()
    version = await rows.one(Version, Version.id == version_id)
    assert version.delivery == (1 if is_queued else 2)
    assert await missing(redis, [(BUILD_QUEUE, BuildJob(version_id, version.delivery).job_id)]) == [False]


async def test_a_build_that_may_still_be_on_its_way_and_one_that_is_over_are_left_alone(
    redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    young = await rows.add_version(status=VersionStatus.BUILDING)
    await rows.add_version(status=VersionStatus.FAILED, queued_at=clock(LONG_AGO))
    await sweep.tick()
    assert (await rows.one(Version, Version.id == young)).delivery == 1
    assert await redis.zcard(BUILD_QUEUE) == 0


@pytest.mark.parametrize(
    ("state", "attempts", "due", "rung"),
    [
        ("pending", 0, -10.0, True),
        ("pending", 0, -0.5, False),  # its job is on its way
        ("pending", 1, -0.5, True),
        ("pending", 1, 60.0, False),
        ("delivering", 1, -0.5, True),
        ("delivering", 1, 20.0, False),
        ("delivered", 1, -10.0, False),
        ("dead", 1, -10.0, False),
    ],
)
async def test_the_bell_is_rung_for_messages_that_are_overdue(
    redis: RedisPool, rows: Rows, sweep: Sweep, state: str, attempts: int, due: float, rung: bool
) -> None:
    row = await rows.ended(webhook="http://127.0.0.1:9/", webhook_events=COMPLETED)
    mine = WebhookMessage.prediction_id == row.id
    await rows.change(WebhookMessage, mine, state=state, attempts=attempts, next_attempt_at=clock(due))
    await redis.delete(DUE_QUEUE)
    await sweep.tick()
    jobs = await redis.queued_jobs(queue_name=DUE_QUEUE)
    assert [list(job.args) for job in jobs] == ([[row.id]] if rung else [])


async def test_ringing_for_a_message_nobody_takes_does_not_fill_the_queue(
    redis: RedisPool, rows: Rows, sweep: Sweep
) -> None:
    row = await rows.ended(webhook="http://127.0.0.1:9/", webhook_events=COMPLETED)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, next_attempt_at=clock(-10))
    await redis.delete(DUE_QUEUE)
    for _ in range(5):
        await sweep.tick()
    assert await redis.zcard(DUE_QUEUE) == 1


async def test_what_a_sender_of_this_host_was_delivering_when_it_died_is_due_at_once(
    settings: Settings, rows: Rows, sweep: Sweep, redis: RedisPool
) -> None:
    dead, alive = new_id(), new_id()
    lanes = {}
    for sender in (dead, alive):
        row = lanes[sender] = await rows.ended(webhook="https://example.com/")
        mine = WebhookMessage.prediction_id == row.id
        in_flight = {"state": "delivering", "attempts": 1, "claimed_by": sender, "next_attempt_at": clock(30)}
        await rows.change(WebhookMessage, mine, **in_flight)
    await redis.delete(DUE_QUEUE)
    leave_sign(settings, dead)
    with living(settings.home, alive):
        await until(lambda: _ticks_and_rings(redis, sweep))
    [job] = await redis.queued_jobs(queue_name=DUE_QUEUE)
    assert list(job.args) == [lanes[dead].id]
    assert not sign_of(settings.home, dead).exists()


async def test_the_place_of_a_leader_that_died_is_free_at_once(settings: Settings, sweep: Sweep, rows: Rows) -> None:
    first = Sweep(settings, rows.database, new_id())
    assert await first._lead()
    assert not await sweep._lead()
    leave_sign(settings, first.id)
    await until(lambda: _ticks_and_leads(rows, sweep))


async def _ticks_and_rings(redis: RedisPool, sweep: Sweep) -> bool:
    await sweep.tick()
    return bool(await redis.zcard(DUE_QUEUE))


async def _ticks_and_leads(rows: Rows, sweep: Sweep) -> bool:
    await sweep.tick()
    return await _leads(rows, sweep)


async def test_of_several_sweeps_one_leads_until_its_term_is_over(
    settings: Settings, database: Database, redis: RedisPool, rows: Rows
) -> None:
    first, second = Sweep(settings, database, "first"), Sweep(settings, database, "second")
    await first.tick()
    row = await waiting_for_long(rows)
    await forget(redis, row)
    await second.tick()
    assert (await rows.prediction(row.id)).delivery == 1
    await rows.change(Leadership, Leadership.holder == "first", until=clock(-0.001))
    await second.tick()
    assert (await rows.prediction(row.id)).delivery == 2
    assert await _leads(rows, second)


async def test_of_sweeps_that_begin_at_once_one_leads(settings: Settings, database: Database, rows: Rows) -> None:
    sweeps = [Sweep(settings, database, f"sweep {number}") for number in range(6)]
    assert sum(await asyncio.gather(*(sweep._lead() for sweep in sweeps))) == 1
    async with database.reading() as connection:
        assert await connection.scalar(select(func.count()).select_from(Leadership)) == 1


async def test_two_sweeps_that_both_believe_to_lead_do_no_harm(
    settings: Settings, database: Database, redis: RedisPool, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def leads(sweep: Sweep) -> bool:
        return True

    monkeypatch.setattr(Sweep, "_lead", leads)
    lost = [await waiting_for_long(rows) for _ in range(5)]
    orphans = [await rows.running(await dead_worker(rows)) for _ in range(5)]
    await redis.flushdb()
    sweeps = [Sweep(settings, database, f"sweep {number}") for number in range(3)]
    await asyncio.gather(*(sweep.tick() for sweep in sweeps))
    repaired = [await rows.prediction(row.id) for row in (*lost, *orphans)]
    assert [(row.status, row.delivery) for row in repaired] == [(Status.STARTING, 2)] * 10
    assert all([await is_queued(redis, row) for row in repaired])


async def test_old_workers_and_messages_long_done_with_are_forgotten_and_what_may_be_replayed_is_kept(
    rows: Rows, sweep: Sweep
) -> None:
    gone, lately = await dead_worker(rows), await dead_worker(rows)
    await rows.change(Worker, Worker.id == gone, last_seen=clock(-2 * DAY))
    states = {"delivered": 0, "pending": 1, "dead": 1}
    owing = {state: await rows.ended(webhook=HOOK, webhook_events=COMPLETED) for state in states}
    for state, row in owing.items():
        of_row = WebhookMessage.prediction_id == row.id
        await rows.change(WebhookMessage, of_row, state=state, created_at=clock(-31 * DAY))
    snapshot = await rows.running(webhook=HOOK, webhook_events=(WebhookEvent.START,))
    of_snapshot = WebhookMessage.prediction_id == snapshot.id
    await rows.change(WebhookMessage, of_snapshot, state="dead", created_at=clock(-31 * DAY))
    young = await rows.ended(webhook=HOOK, webhook_events=COMPLETED)
    await rows.change(WebhookMessage, WebhookMessage.prediction_id == young.id, state="delivered")
    await sweep.tick()
    assert {state: len(await rows.messages(row.id)) for state, row in owing.items()} == states
    assert [len(await rows.messages(row.id)) for row in (young, snapshot)] == [1, 0]
    async with rows.database.reading() as connection:
        assert (await connection.execute(select(Worker.id))).scalars().all() == [lately]
