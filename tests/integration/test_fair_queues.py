"""Accounts that want the same model take turns, however much one of them has put into its queue."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from shared.ids import new_id
from shared.queue import PredictJob, RedisPool, close_queues, predict_queue, turns
from shared.settings import Settings
from tests.database_fixtures import redis_at, until
from worker.app import BellWorker

VERSION = new_id()
QUEUE = predict_queue(VERSION)


class Host:
    """Workers of one queue that note what they begin; each job takes until it is let go, or no time at all."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self.begun: list[str] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def take_jobs(self, seats: int = 1) -> None:
        redis = await self._stack.enter_async_context(redis_at(self._settings.redis_url))
        bells = await self._stack.enter_async_context(redis_at(self._settings.redis_url, is_listening=True))
        worker = BellWorker(redis, bells, QUEUE, "predict", self._run, seats)
        await self._stack.enter_async_context(worker.running())
        self._stack.push_async_callback(worker.drained)

    async def _run(self, worker: BellWorker, prediction_id: str, delivery: int) -> None:
        self.begun.append(prediction_id)
        await self.may_end.wait()

    def begun_of(self, account: str) -> list[str]:
        return [job for job in self.begun if job.startswith(account)]


@pytest.fixture
async def stack():
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
def host(settings: Settings, stack: AsyncExitStack) -> Host:
    return Host(settings, stack)


async def put(redis: RedisPool, account: str, *numbers: int) -> list[str]:
    """Jobs of an account, named so that their names say nothing of their order."""
    names = [f"{account}-{number * 7919 % 10_000:04}" for number in numbers]
    pipe = redis.pipeline()
    for name in names:
        PredictJob(name, 1, VERSION, account).write(pipe)
    await pipe.execute()
    return names


async def test_who_comes_to_a_flood_waits_for_one_job_of_it_and_not_for_all(redis: RedisPool, host: Host) -> None:
    flood = await put(redis, "ada", *range(100))
    late = await put(redis, "bob", *range(5))
    await host.take_jobs()
    await until(lambda: len(host.begun) == 105)
    assert max(host.begun.index(name) for name in late) <= 2 * len(late)
    assert (host.begun_of("ada"), host.begun_of("bob")) == (flood, late)


async def test_accounts_take_turns_while_a_flood_is_being_worked_off(redis: RedisPool, host: Host) -> None:
    host.may_end.clear()
    await put(redis, "ada", *range(200))
    await host.take_jobs(seats=4)
    await until(lambda: len(host.begun) == 4)
    late = await put(redis, "bob", *range(20)) + await put(redis, "eve", *range(20))
    host.may_end.set()
    await until(lambda: len(host.begun) == 240)
    assert max(map(host.begun.index, late)) <= 4 + 3 * 20 + 4
    assert sorted(map(len, map(host.begun_of, ("ada", "bob", "eve")))) == [20, 20, 200]


async def test_what_an_account_has_had_before_is_not_held_against_it(redis: RedisPool, host: Host) -> None:
    """Nor does who was away get in one go what it did not ask for meanwhile."""
    await put(redis, "ada", *range(50))
    await host.take_jobs()
    await until(lambda: len(host.begun) == 50)
    host.may_end.clear()
    running = await put(redis, "ada", 50)
    await until(lambda: running[0] in host.begun)
    await put(redis, "bob", *range(30))
    await put(redis, "ada", *range(51, 81))
    host.may_end.set()
    await until(lambda: len(host.begun) == 111)
    first_half = host.begun[51:81]
    assert abs(len([job for job in first_half if job.startswith("ada")]) - 15) <= 1


async def test_jobs_behind_one_that_runs_for_long_are_no_later_for_it(redis: RedisPool, host: Host) -> None:
    """What is served is not where the slowest job stands: a newcomer would be given all turns since."""
    await put(redis, "ada", *range(100))
    pipe = redis.pipeline()
    pipe.set("arq:in-progress:ada-0000:1", 1)  # it runs on some other host
    await pipe.execute()
    host.may_end.clear()
    await host.take_jobs(seats=50)
    await until(lambda: len(host.begun) == 50)
    await put(redis, "bob", *range(40))
    host.may_end.set()
    await until(lambda: len(host.begun) == 139)
    then = host.begun[50:90]
    assert 18 <= len([job for job in then if job.startswith("bob")]) <= 22


async def test_a_queue_that_lost_its_turns_goes_on_behind_what_waits(redis: RedisPool, host: Host) -> None:
    before = await put(redis, "ada", *range(20))
    await redis.delete(turns(QUEUE))
    after = await put(redis, "ada", *range(20, 30)) + await put(redis, "bob", *range(5))
    await host.take_jobs()
    await until(lambda: len(host.begun) == 35)
    assert host.begun_of("ada") == before + after[:10]
    assert host.begun_of("bob") == after[10:]


async def test_nothing_is_kept_of_turns_in_a_queue_that_is_closed(redis: RedisPool, host: Host) -> None:
    await put(redis, "ada", 1)
    assert await redis.pttl(turns(QUEUE)) > 0
    await host.take_jobs()
    await until(lambda: redis_is_empty(redis))
    await close_queues(redis, [VERSION])
    assert not await redis.exists(turns(QUEUE))


async def redis_is_empty(redis: RedisPool) -> bool:
    return not await redis.exists(QUEUE)
