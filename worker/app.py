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
from arq.worker import func
from redis.exceptions import RedisError

from shared.ids import new_id
from shared.queue import EXPIRY, RedisPool, bell, decode, encode
from shared.tasks import end
from worker.together import Together

Job = Callable[..., Awaitable[None]]
"""Called with the worker that took the job and the job's arguments."""

POLL_SECONDS = 0.5
"""The net below the bell."""
_LEASE_SECONDS = 6
"""After a worker was killed, the queue entries it held are free again this much later."""
_RENEW_SECONDS = 2
_JOB_SECONDS = 24 * 3600
"""A backstop only: what may take how long is not arq's to decide."""
_READ_LIMIT = 1000
"""Entries stay at the head of the queue while they run; more than run anywhere at once must be visible."""
_log = structlog.get_logger()


class BellWorker(arq.Worker):
    """Takes jobs from one queue, at most `seats` at a time, the moment they are put there.

    arq alone looks every half second. Here a bell makes it look at once, and so does a seat that gets free.
    """

    def __init__(self, redis: RedisPool, bells: RedisPool, queue: str, name: str, job: Job, seats: int) -> None:
        async def run(ctx: dict[Any, Any], *args: Any, **_: Any) -> None:
            await job(self, *args)

        super().__init__(
            [func(run, name=name)],
            queue_name=queue,
            redis_pool=redis,
            handle_signals=False,
            max_jobs=seats,
            job_timeout=_JOB_SECONDS,
            keep_result=0,
            poll_delay=POLL_SECONDS,
            queue_read_limit=_READ_LIMIT,
            max_tries=1,  # the reconciler alone decides what runs again
            health_check_interval=30,
            health_check_key=f"{queue}:health:{new_id()}",
            job_serializer=encode,
            job_deserializer=decode,
            expires_extra_ms=int(EXPIRY.total_seconds() * 1000),
            log_results=False,
        )
        self.sem = asyncio.BoundedSemaphore(_READ_LIMIT)  # `max_jobs` moves; it alone is the limit
        self.in_progress_timeout_s = _LEASE_SECONDS
        self._forgotten = Together(self._forget)
        self._seats = seats
        self._bells = bells
        self._turn = asyncio.Lock()
        self._free = asyncio.Event()

    async def _poll_iteration(self) -> None:
        async with self._turn:  # the bell and the poll must not start the same job twice
            await super()._poll_iteration()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Lock and start as many as there is room for: one round trip a batch, where arq takes four an id."""
        left = [job_id.decode() for job_id in job_ids if job_id.decode() not in self.tasks]
        while left and (room := self.max_jobs - self.job_counter) > 0:
            batch, left = left[:room], left[room:]
            if await self._start_batch(batch) < len(batch):
                left = await self._unlocked(left)

    async def _unlocked(self, job_ids: list[str]) -> list[str]:
        """Those that nobody runs: to try one after the other would take long where hundreds run elsewhere."""
        locks = await self.pool.mget([in_progress_key_prefix + job_id for job_id in job_ids]) if job_ids else []
        return [job_id for job_id, lock in zip(job_ids, locks, strict=True) if lock is None]

    async def _start_batch(self, job_ids: list[str]) -> int:
        """How many of them had not been taken by others."""
        pipe = self.pool.pipeline(transaction=False)
        for job_id in job_ids:
            pipe.set(in_progress_key_prefix + job_id, 1, nx=True, ex=_LEASE_SECONDS)
            pipe.zscore(self.queue_name, job_id)
        answers = await pipe.execute()
        answered = zip(job_ids, answers[::2], answers[1::2], strict=True)
        # Without a score another worker has finished it meanwhile.
        ours = {job_id: int(score) for job_id, is_locked, score in answered if is_locked and score is not None}
        for job_id, score in ours.items():
            self.job_counter += 1
            await self.sem.acquire()
            self.tasks[job_id] = self.loop.create_task(self.run_job(job_id, score))
            self.tasks[job_id].add_done_callback(lambda _: self._release_sem_dec_counter_on_complete())
        return len(ours)

    async def finish_job(self, job_id: str, finish: bool, *how: Any) -> None:
        """Forget jobs that ended, several at a time: the row says what came of them."""
        if finish:
            await self._forgotten(job_id)
        else:
            await super().finish_job(job_id, finish, *how)

    async def _forget(self, job_ids: list[str]) -> list[None]:
        prefixes = (in_progress_key_prefix, job_key_prefix, retry_key_prefix)
        pipe = self.pool.pipeline(transaction=False)
        pipe.zrem(self.queue_name, *job_ids)
        pipe.delete(*(prefix + job_id for prefix in prefixes for job_id in job_ids))
        await pipe.execute()
        return [None] * len(job_ids)

    def _release_sem_dec_counter_on_complete(self) -> None:
        super()._release_sem_dec_counter_on_complete()
        self._free.set()

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
        self.max_jobs += seats - self._seats
        self._seats = seats
        self._free.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take jobs while inside; on leaving take no more. Jobs that run go on: see `drained`."""
        tasks = [asyncio.create_task(self._forever(part)) for part in (self.async_run, self._listen, self._renew)]
        try:
            yield
        finally:
            self.allow_pick_jobs = False
            await end(*tasks, *([self.main_task] if self.main_task else []))

    async def drained(self) -> None:
        """Returns when the last running job has ended."""
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def abandon(self) -> None:
        """End jobs that still run. Their rows stay as they are: the sweep decides what becomes of them."""
        for task in self.job_tasks.values():
            task.cancel()
        await self.drained()

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
            else:
                await cast(Awaitable[Any], self._bells.blpop([bell(self.queue_name)], timeout=2))
            await self._poll_iteration()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            pipe = self.pool.pipeline(transaction=False)
            for job_id in self.tasks:
                pipe.pexpire(in_progress_key_prefix + job_id, _LEASE_SECONDS * 1000)
            await pipe.execute()
