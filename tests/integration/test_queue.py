"""Jobs get into Redis in arq's format and out of it at once, once, and through everything that happens to Redis."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from typing import Any

import arq
import pytest
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import deserialize_job
from redis.exceptions import RedisError

import worker.app
from shared.ids import new_id
from shared.queue import (
    BUILD_QUEUE,
    DELIVER_QUEUE,
    BuildJob,
    DeliverJob,
    PredictJob,
    RedisPool,
    bell,
    decode,
    missing,
    open_redis,
    predict_queue,
)
from shared.settings import Settings
from tests.database_fixtures import PrivateValkey, redis_at, until
from worker.app import BellWorker, Job

VERSION = "5" * 64
QUEUE = predict_queue(VERSION)
NEVER = 3600.0

# What our overrides were written against. When one of these changes, compare worker/app.py with the new arq.
ARQ_SOURCES = {
    "main": "45ca1591c9717466eec76e17fa958f84acf6085103d692a84ee25d9904e7f8fc",
    "_poll_iteration": "f8d39d823a0a59f27a45f1c0e80bee44e16219d5072235fbc81866402298322f",
    "start_jobs": "b45797cfa40bed7fe6e9b8b8100c5f5b4144fe85112155c4e355df6ed8521f5f",
}


class CountedWorker(BellWorker):
    """Tells how often it has looked into its queue, and how often it has asked Redis for jobs."""

    looks = 0
    takes = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.is_taking = asyncio.Event()

    async def _take(self, *named: str) -> int:
        self.takes += 1
        self.is_taking.set()
        return await super()._take(*named)

    async def _poll_iteration(self) -> None:
        await super()._poll_iteration()
        self.looks += 1


class Jobs:
    """What the worker ran, in order; each job takes until it is told to end."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[str] = []
        self.may_end = asyncio.Event()

    async def run(self, worker: BellWorker, prediction_id: str, delivery: int) -> None:
        self.started.append(prediction_id)
        await self.may_end.wait()
        self.ended.append(prediction_id)


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@asynccontextmanager
async def working(
    url: str, job: Job, *, seats: int = 1, poll_seconds: float = NEVER, queue: str = QUEUE, name: str = "predict"
) -> AsyncIterator[CountedWorker]:
    """A worker that, unless told otherwise, has nothing but the bell after its first look."""
    async with redis_at(url) as redis, redis_at(url, is_listening=True) as bells, AsyncExitStack() as stack:
        worker = CountedWorker(redis, bells, queue, name, job, seats)
        worker.poll_delay_s = poll_seconds
        await stack.enter_async_context(worker.running())
        await until(lambda: worker.looks)
        yield worker
        async with asyncio.timeout(10):  # a worker that does not leave is a failure, not a test run without end
            await stack.aclose()
            await worker.drained()


async def put(redis: RedisPool, *prediction_ids: str, rings: bool = True) -> None:
    pipe = redis.pipeline(transaction=True)
    for prediction_id in prediction_ids:
        PredictJob(prediction_id, 1, VERSION).write(pipe)
    if not rings:
        pipe.delete(bell(QUEUE))  # in the same transaction: nobody hears it
    await pipe.execute()


async def has_looked_again(worker: CountedWorker) -> None:
    """Whatever was there to be taken has been taken."""
    seen = worker.looks
    await until(lambda: worker.looks > seen + 1)


@pytest.mark.parametrize(
    ("job", "queue", "function", "arguments"),
    [
        (PredictJob("p1", 3, VERSION), QUEUE, "predict", ["p1", 3]),
        (BuildJob(VERSION, 2), BUILD_QUEUE, "build", [VERSION, 2]),
        (DeliverJob("p1", "7"), DELIVER_QUEUE, "deliver", ["p1"]),
    ],
)
async def test_arq_reads_what_we_wrote(
    redis: RedisPool, job: Any, queue: str, function: str, arguments: list[Any]
) -> None:
    pipe = redis.pipeline()
    job.write(pipe)
    await pipe.execute()
    raw = await redis.get(job_key_prefix + job.job_id)
    read = deserialize_job(raw, deserializer=decode)
    assert (read.function, list(read.args), read.kwargs, read.job_try) == (function, arguments, {}, None)
    queued = await redis.queued_jobs(queue_name=queue)
    assert [(entry.job_id, entry.function) for entry in queued] == [(job.job_id, function)]
    assert await redis.pttl(job_key_prefix + job.job_id) > 29 * 24 * 3_600_000


async def test_a_job_written_twice_is_there_once(redis: RedisPool) -> None:
    for _ in range(2):
        await put(redis, "p1")
    assert await redis.zcard(QUEUE) == 1


async def test_bells_nobody_listens_to_do_not_pile_up(redis: RedisPool) -> None:
    await put(redis, *(f"p{number}" for number in range(200)))
    assert await redis.llen(bell(QUEUE)) <= 64
    assert 0 < await redis.ttl(bell(QUEUE)) <= 5


@pytest.mark.parametrize("lost", ["entry", "job", "both", "nothing"])
async def test_what_redis_lost_of_a_job_is_noticed(redis: RedisPool, lost: str) -> None:
    await put(redis, "p1", "p2")
    if lost in ("entry", "both"):
        await redis.zrem(QUEUE, "p1:1")
    if lost in ("job", "both"):
        await redis.delete(job_key_prefix + "p1:1")
    assert await missing(redis, [(QUEUE, "p1:1"), (QUEUE, "p2:1")]) == [lost != "nothing", False]
    assert await missing(redis, []) == []


async def test_closing_a_pool_closes_its_connections(settings: Settings, redis: RedisPool) -> None:
    pool = open_redis(settings.redis_url)
    name = new_id()
    await pool.client_setname(name)

    async def names() -> list[str]:
        return [client["name"] for client in await redis.client_list()]

    assert name in await names()
    await pool.aclose()
    try:
        assert name not in await names()
    finally:
        await pool.connection_pool.disconnect()


@pytest.mark.parametrize("is_listening", [False, True])
async def test_a_server_that_accepts_and_hangs_up_is_away_and_not_asked_for_ever(is_listening: bool) -> None:
    connections = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with redis_at(f"redis://127.0.0.1:{port}/1", is_listening=is_listening) as pool, asyncio.timeout(10):
            with pytest.raises(RedisError):
                await pool.ping()
    assert 1 <= len(connections) <= 4


async def test_the_bell_alone_wakes_a_worker(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run):
        for number in range(5):
            await put(redis, f"p{number}")
            await until(lambda number=number: f"p{number}" in jobs.ended)
    assert jobs.started == [f"p{number}" for number in range(5)]


async def test_a_bell_for_a_job_that_is_gone_makes_the_worker_look_for_others(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run):
        await put(redis, "p1", rings=False)
        await redis.rpush(bell(QUEUE), "gone:1")
        await until(lambda: jobs.ended == ["p1"])
        assert not await redis.exists(in_progress_key_prefix + "gone:1", retry_key_prefix + "gone:1")


async def test_a_job_whose_lock_redis_lost_is_not_begun_a_second_time_where_it_runs(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    async with working(settings.redis_url, jobs.run, seats=2) as worker:
        await put(redis, "p1")
        await until(lambda: jobs.started == ["p1"])
        await redis.delete(in_progress_key_prefix + "p1:1")
        seen = worker.looks
        await put(redis, "p1")
        await until(lambda: redis.exists(in_progress_key_prefix + "p1:1"))
        await redis.rpush(bell(QUEUE), "gone:1")
        await until(lambda: worker.looks > seen)
        assert jobs.started == ["p1"]
        jobs.may_end.set()
        await until(lambda: _nothing_left(redis))


async def test_without_a_bell_the_worker_looks_all_the_same(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run, poll_seconds=0.05):
        await put(redis, "p1", rings=False)
        await until(lambda: jobs.ended == ["p1"])


async def test_a_backlog_is_worked_off_seat_by_seat_after_a_single_ring(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run):
        await put(redis, *(f"p{number:02}" for number in range(20)), rings=False)
        await redis.rpush(bell(QUEUE), 1)
        await until(lambda: len(jobs.ended) == 20)
    assert sorted(jobs.started) == [f"p{number:02}" for number in range(20)]


async def test_an_ended_job_leaves_nothing_in_redis(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run):
        await put(redis, "p1", "p2")
        await until(lambda: len(jobs.ended) == 2)
        await until(lambda: _nothing_left(redis))


async def _nothing_left(redis: RedisPool) -> bool:
    return not await redis.zcard(QUEUE) and not await redis.keys("arq:*")


async def test_more_seats_start_more_jobs_at_once(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    async with working(settings.redis_url, jobs.run, poll_seconds=0.01) as worker:
        await put(redis, "p1", "p2", "p3")
        await has_looked_again(worker)
        assert len(jobs.started) == 1
        worker.resize(2)
        await until(lambda: len(jobs.started) == 2)
        await has_looked_again(worker)
        assert len(jobs.started) == 2
        worker.resize(1)
        jobs.may_end.set()
        await until(lambda: len(jobs.ended) == 3)
        assert worker.max_jobs == 1


async def test_a_seat_given_up_lets_the_next_job_start(settings: Settings, redis: RedisPool) -> None:
    begun: list[str] = []
    may_give_up, may_end = asyncio.Event(), asyncio.Event()

    async def run(worker: BellWorker, prediction_id: str, delivery: int) -> None:
        begun.append(prediction_id)
        await may_give_up.wait()
        with worker.seat_given_up():
            await may_end.wait()

    async with working(settings.redis_url, run, poll_seconds=0.01) as worker:
        await put(redis, "p1", "p2")
        await has_looked_again(worker)
        assert len(begun) == 1
        may_give_up.set()
        await until(lambda: len(begun) == 2)
        may_end.set()
        await until(lambda: worker.job_counter == 0)
        assert worker.max_jobs == 1


async def test_a_seat_that_gets_free_during_a_look_is_filled_without_a_bell(
    settings: Settings, redis: RedisPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.app, "_LISTEN_SECONDS", NEVER)
    begun: list[str] = []
    may_give_up, may_end = asyncio.Event(), asyncio.Event()

    async def run(worker: BellWorker, prediction_id: str, delivery: int) -> None:
        begun.append(prediction_id)
        await may_give_up.wait()
        if prediction_id == "p2":
            await taker.is_taking.wait()
        with worker.seat_given_up():
            await may_end.wait()

    async with working(settings.redis_url, run, seats=2) as taker:
        await put(redis, "p1", "p2", "p3", "p4", rings=False)
        await redis.rpush(bell(QUEUE), "gone:1")
        await until(lambda: begun == ["p1", "p2"])
        taker.is_taking.clear()
        may_give_up.set()
        await until(lambda: begun == ["p1", "p2", "p3", "p4"])
        may_end.set()


async def test_a_job_that_raises_frees_its_seat_and_hurts_nobody(settings: Settings, redis: RedisPool) -> None:
    begun: list[str] = []

    async def run(worker: BellWorker, prediction_id: str, delivery: int) -> None:
        begun.append(prediction_id)
        raise RuntimeError("a bug of ours")

    async with working(settings.redis_url, run) as worker:
        await put(redis, "p1", "p2", "p3")
        await until(lambda: len(begun) == 3)
        await until(lambda: _nothing_left(redis))
        await until(lambda: worker.job_counter == 0)


async def test_a_job_that_runs_elsewhere_is_left_alone(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    jobs.may_end.set()
    await redis.set(in_progress_key_prefix + "p1:1", 1)
    async with working(settings.redis_url, jobs.run, poll_seconds=0.01) as worker:
        await put(redis, "p1", "p2")
        await until(lambda: jobs.ended == ["p2"])
        await has_looked_again(worker)
        assert jobs.started == ["p2"]
        assert await redis.zscore(QUEUE, "p1:1")
        await redis.delete(in_progress_key_prefix + "p1:1")
        await until(lambda: jobs.ended == ["p2", "p1"])


async def test_of_two_workers_each_job_has_one(settings: Settings, redis: RedisPool, jobs: Jobs) -> None:
    jobs.may_end.set()
    names = [f"p{number:02}" for number in range(40)]
    async with working(settings.redis_url, jobs.run, seats=3), working(settings.redis_url, jobs.run, seats=3):
        await put(redis, *names)
        await until(lambda: len(jobs.ended) >= 40)
        await until(lambda: _is_empty(redis))
    assert sorted(jobs.started) == names


async def _is_empty(redis: RedisPool) -> bool:
    return not await redis.zcard(QUEUE)


async def test_a_running_job_keeps_its_lock_alive(
    settings: Settings, redis: RedisPool, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.app, "_RENEW_SECONDS", 0.05)
    async with working(settings.redis_url, jobs.run):
        await put(redis, "p1")
        await until(lambda: jobs.started)
        lock = in_progress_key_prefix + "p1:1"
        await redis.pexpire(lock, 3000)
        await until(lambda: _lives_longer(redis, lock, 3000))
        jobs.may_end.set()


async def _lives_longer(redis: RedisPool, key: str, milliseconds: int) -> bool:
    return await redis.pttl(key) > milliseconds


async def test_a_job_whose_worker_died_is_never_run_again_by_the_queue(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    async with working(settings.redis_url, jobs.run):
        await put(redis, "p1")
        await until(lambda: jobs.started == ["p1"])
        await redis.delete(in_progress_key_prefix + "p1:1")  # its lock has run out, as after a kill -9
        jobs.may_end.set()
        async with working(settings.redis_url, jobs.run):
            # The entry goes, so that the reconciler sees that it is gone and decides.
            await until(lambda: _nothing_left(redis))
    assert jobs.started == ["p1"]


async def test_many_entries_that_run_elsewhere_do_not_hide_one_that_waits(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    running = [f"r{number:03}" for number in range(300)]
    await put(redis, *running, rings=False)
    pipe = redis.pipeline()
    for name in running:
        pipe.set(f"{in_progress_key_prefix}{name}:1", 1)
    await pipe.execute()
    jobs.may_end.set()
    async with working(settings.redis_url, jobs.run) as worker:
        await put(redis, "waiting")
        await until(lambda: jobs.ended == ["waiting"])
        assert worker.takes < 10  # nor does it take a round trip for each of them


async def test_leaving_takes_no_more_jobs_and_lets_running_ones_end(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    async with working(settings.redis_url, jobs.run) as worker:
        await put(redis, "p1")
        await until(lambda: jobs.started == ["p1"])
        worker.allow_pick_jobs = False
        worker.resize(2)
        await put(redis, "p2")
        draining = asyncio.create_task(worker.drained())
        await until(lambda: _is_silent(redis))
        jobs.may_end.set()
        await draining
    assert jobs.ended == jobs.started == ["p1"]
    assert await redis.zscore(QUEUE, "p2:1")


async def test_a_worker_leaves_at_once_whatever_it_is_doing_at_that_moment(
    settings: Settings, redis: RedisPool, jobs: Jobs
) -> None:
    jobs.may_end.set()
    for number in range(25):
        async with working(settings.redis_url, jobs.run):
            await put(redis, f"p{number}")
            await until(lambda number=number: f"p{number}" in jobs.ended)
            for _ in range(number):
                await asyncio.sleep(0)


async def _is_silent(redis: RedisPool) -> bool:
    return not await redis.exists(bell(QUEUE))


async def test_a_worker_outlives_a_restart_of_redis(valkey: PrivateValkey, jobs: Jobs) -> None:
    async with working(valkey.url, jobs.run, seats=2) as worker, redis_at(valkey.url) as redis:
        await put(redis, "p1")
        await until(lambda: jobs.started == ["p1"])
        valkey.kill()
        await until(lambda: _refuses(redis))
        await asyncio.to_thread(valkey.start)
        await until(lambda: _accepts(redis, "p2"))
        await until(lambda: "p2" in jobs.started)
        jobs.may_end.set()
        await until(lambda: {"p1", "p2"} <= set(jobs.ended))
        await put(redis, "p3")
        await until(lambda: "p3" in jobs.ended)
        assert worker.allow_pick_jobs
    assert jobs.started == ["p1", "p2", "p3"]


async def _refuses(redis: RedisPool) -> bool:
    try:
        await redis.ping()
    except (RedisError, OSError):
        return True
    return False


async def _accepts(redis: RedisPool, prediction_id: str) -> bool:
    await put(redis, prediction_id)
    return True


@pytest.mark.parametrize("method", ARQ_SOURCES)
def test_arq_is_still_the_one_we_adapted(method: str) -> None:
    source: Callable[..., Any] = getattr(arq.Worker, method)
    assert sha256(inspect.getsource(source).encode()).hexdigest() == ARQ_SOURCES[method]
