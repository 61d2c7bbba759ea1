"""The arq worker with its bell: picks jobs up at once, keeps its own short lease, outlives Redis.

One of two rooms that know arq; what a job does stands in `predict`, `build` and `deliver`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import arq
import structlog
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.jobs import deserialize_job_raw
from arq.typing import WorkerCoroutine
from arq.worker import func
from redis.exceptions import RedisError

from shared.ids import new_id
from shared.queue import SERVED, RedisPool, bell, decode, encode, turns
from shared.tasks import end, start
from worker.together import Together

Job = Callable[..., Awaitable[None]]
"""Called with the worker that took the job and the job's arguments."""

POLL_SECONDS = 0.5
"""The net below the bell."""
_LEASE_SECONDS = 6
"""After a worker was killed, the queue entries it held are free again this much later."""
_RENEW_SECONDS = 2
_LISTEN_SECONDS = 2
_READ_LIMIT = 1000
"""Entries stay at the head of the queue while they run; more than run anywhere at once must be visible."""
_TAKE = f"""
local queue, lease_seconds, room, last = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) - 1
if ARGV[4] then
    local place = redis.call('ZRANK', queue, ARGV[4])
    if not place then return {{}} end
    last = math.min(last, place)  -- what stands before it has an earlier turn
end
local taken = {{}}
for _, id in ipairs(redis.call('ZRANGE', queue, 0, last)) do
    if #taken >= 2 * room then break end
    if redis.call('SET', '{in_progress_key_prefix}' .. id, 1, 'NX', 'EX', lease_seconds) then
        local is_first = redis.call('SET', '{retry_key_prefix}' .. id, 1, 'NX', 'EX', 86400)
        taken[#taken + 1] = id
        taken[#taken + 1] = is_first and redis.call('GET', '{job_key_prefix}' .. id) or ''
        if is_first then redis.call('HSET', KEYS[2], '{SERVED}', redis.call('ZSCORE', queue, id)) end
    end
end
return taken
"""
"""Locks jobs nobody runs and hands them out in their turn, in one step on the server: pairs of id and content."""
_log = structlog.get_logger()


class BellWorker(arq.Worker):
    """Takes jobs from one queue, at most `seats` at a time, the moment they are put there.

    arq alone looks every half second. Here a bell names the job, and a seat that gets free makes it look at once.
    Of arq's worker its loop is left: a job costs one round trip to begin and a share of one to end, not four, and
    nothing runs again by itself, since the reconciler alone decides that.
    """

    def __init__(self, redis: RedisPool, bells: RedisPool, queue: str, name: str, job: Job, seats: int) -> None:
        super().__init__(
            [func(cast(WorkerCoroutine, job), name=name)],
            queue_name=queue,
            redis_pool=redis,
            handle_signals=False,
            max_jobs=seats,
            poll_delay=POLL_SECONDS,
            queue_read_limit=_READ_LIMIT,
            health_check_interval=30,
            health_check_key=f"{queue}:health:{new_id()}",
            job_serializer=encode,
            job_deserializer=decode,
        )
        self._job = job
        self._script = redis.register_script(_TAKE)
        self._forgotten = Together(self._forget)
        self._seats = seats
        self._bells = bells
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()
        self._is_full_up = False
        """Whether the last look left no seat free, so that jobs may wait whose bells have rung."""

    async def _poll_iteration(self) -> None:
        await self._take()
        await self.heart_beat()

    async def _take(self, *named: str) -> int:
        """Start those whose turn it is, up to the one named, as far as there is room; how many it were."""
        async with self._turn:  # the bell and the poll must not fill the same seat
            room = self.max_jobs - self.job_counter
            if room <= 0 or not self.allow_pick_jobs:
                self._is_full_up = room <= 0
                return 0
            keys = [self.queue_name, turns(self.queue_name)]
            taken = await self._script(keys=keys, args=[_LEASE_SECONDS, room, _READ_LIMIT, *named])
            for job_id, job in zip(taken[::2], taken[1::2], strict=True):
                self._start(job_id.decode(), job)
            self._is_full_up = len(taken) // 2 == room
            return len(taken) // 2

    def _start(self, job_id: str, job: bytes) -> None:
        if job_id in self.tasks:  # Redis has lost its lock, and has it again now
            return
        self.job_counter += 1
        self.tasks[job_id] = task = self.loop.create_task(self._run(job_id, job))
        task.add_done_callback(lambda _: self._ended(job_id))

    async def _run(self, job_id: str, job: bytes) -> None:
        """One job to its end, whatever that is: the row says what came of it.

        An empty one was begun before by a worker that died, or its content is lost. It is only forgotten, so that
        the reconciler sees that it is gone and decides.
        """
        try:
            if job:
                _, arguments, *_ = deserialize_job_raw(job, deserializer=decode)
                await self._job(self, *arguments)
        except Exception as error:
            _log.error("job broke", job_id=job_id, exc_info=error)
        finally:
            await self._forget_soon(job_id)

    async def _forget_soon(self, job_id: str) -> None:
        try:
            await self._forgotten(job_id)
        except (RedisError, OSError) as error:  # its lock runs out, and whoever takes it next forgets it
            _log.warning("job not forgotten", job_id=job_id, error=str(error))

    def _ended(self, job_id: str) -> None:
        del self.tasks[job_id]
        self.job_counter -= 1
        self._free.set()

    async def _forget(self, job_ids: list[str]) -> list[None]:
        prefixes = (in_progress_key_prefix, job_key_prefix, retry_key_prefix)
        pipe = self.pool.pipeline(transaction=False)
        pipe.zrem(self.queue_name, *job_ids)
        pipe.delete(*(prefix + job_id for prefix in prefixes for job_id in job_ids))
        await pipe.execute()
        return [None] * len(job_ids)

    @property
    def occupied(self) -> int:
        """Jobs that have not given up their seat."""
        return self.job_counter - (self.max_jobs - self._seats)

    @contextmanager
    def seat_given_up(self) -> Iterator[None]:
        """Let the next job start although this one still has something to write."""
        self.max_jobs += 1
        self._free.set()
        try:
            yield
        finally:
            self.max_jobs -= 1

    def resize(self, seats: int) -> None:
        """How many jobs may run at once from now on, besides those that gave up their seat."""
        if seats != self._seats:
            self.max_jobs += seats - self._seats
            self._seats = seats
            self._free.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take jobs while inside; on leaving take no more. Jobs that run go on: see `drained`."""
        tasks = [start(self._forever(part)) for part in (self.async_run, self._listen, self._renew)]
        try:
            yield
        finally:
            self.allow_pick_jobs = False
            await end(*tasks, *([self.main_task] if self.main_task else []))

    async def drained(self) -> None:
        """Returns when the last running job has ended, and those that were being taken."""
        async with self._turn:
            self.allow_pick_jobs = False
        while self.tasks:
            await asyncio.wait(self.tasks.values())

    async def abandon(self) -> None:
        """End jobs that still run. Their rows stay as they are: the sweep decides what becomes of them."""
        async with self._turn:
            self.allow_pick_jobs = False
        await end(*self.tasks.values())

    async def _forever(self, part: Callable[[], Awaitable[None]]) -> None:
        """Begin again after an outage of Redis; nothing that runs is touched."""
        while True:
            try:
                await part()
            except (RedisError, OSError) as error:
                _log.warning("queue lost", queue=self.queue_name, error=str(error))
                await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _listen(self) -> None:
        while True:
            if self.job_counter >= self.max_jobs:
                self._free.clear()  # nothing is awaited between the question and this, so no wake-up is lost
                await self._free.wait()
            elif not self._is_full_up:  # else seats got free during that look
                rung = await cast(Awaitable[Any], self._bells.blpop([bell(self.queue_name)], timeout=_LISTEN_SECONDS))
                if rung and await self._take(rung[1].decode()):
                    continue
            await self._poll_iteration()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            pipe = self.pool.pipeline(transaction=False)
            for job_id in self.tasks:
                pipe.pexpire(in_progress_key_prefix + job_id, _LEASE_SECONDS * 1000)
            await pipe.execute()
