"""Names of our jobs, and how they get into Redis in arq's format.

Nothing is executed here, and no job carries more than an id: the row in the database is the job.
"""

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from math import inf
from time import time
from typing import Any, ClassVar, Protocol, cast

import msgspec
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import Row

from shared.contract import Kind

_EXPIRY_MILLISECONDS = 30 * 86_400_000
"""A queue entry outlives any backlog; arq's own day would drop jobs silently."""
_NOBODY = ""
"""In the place of an account, where all jobs stand in one line."""
_BELL_LIMIT = 64
_BELL_SECONDS = 5
SERVED = "served"
"""Beside the next turn of each account: the turn that was taken last."""
_VERSIONS = "pinion:versions"
"""Versions with a queue of their own, for workers to look into."""
_CLOSE = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('DEL', KEYS[2])
    redis.call('SREM', KEYS[3], ARGV[1])
end
"""
# An entry's score is its turn. An account's next turn comes one after its last, but not before the turn that is being
# served: so accounts take turns however much each has waiting, and each has its own jobs in their order. A queue that
# is empty begins anew; one whose turns Redis has lost goes on behind what waits in it.
_PUT = f"""
local queue, turns, id, account = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
if not redis.call('ZSCORE', queue, id) then  -- what waits already keeps its place
    local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
    if not last then
        redis.call('DEL', turns)
        redis.call('HSET', turns, '{SERVED}', 1)
    end
    local known = redis.call('HMGET', turns, '{SERVED}', account)
    local turn = math.max(tonumber(known[1] or last or 0), tonumber(known[2] or 0))
    redis.call('ZADD', queue, turn, id)
    redis.call('HSET', turns, account, turn + 1)
    redis.call('PEXPIRE', turns, ARGV[4])
end
redis.call('RPUSH', KEYS[4], id)
redis.call('LTRIM', KEYS[4], -{_BELL_LIMIT}, -1)
redis.call('EXPIRE', KEYS[4], {_BELL_SECONDS})
"""
BUILD_QUEUE = "pinion:build"
TRAIN_QUEUE = "pinion:train"
DELIVER_QUEUE = "pinion:deliver"
DUE_QUEUE = "pinion:due"
"""What the sweep rings for, which may be a long backlog: what has just happened does not wait behind it."""

RedisPool = ArqRedis
"""What other rooms call it: only this one and `worker.app` know arq."""

encode = msgspec.json.encode
decode = msgspec.json.decode


class Sendable(Protocol):
    """Something for Redis that a transaction collects and sends once it has committed."""

    def write(self, pipe: Pipeline) -> None:
        """Append the commands to a pipeline that carries everything of one transaction."""


def predict_queue(version_id: str) -> str:
    """Queue of one version: a busy model never hides another model's predictions."""
    return f"pinion:predict:{version_id}"


def bell(queue: str) -> str:
    """List that wakes one worker waiting for this queue and names the job; losing a ring costs one poll."""
    return f"{queue}:bell"


def turns(queue: str) -> str:
    """Hash that says whose turn is when in this queue."""
    return f"{queue}:turns"


def _write(pipe: Pipeline, queue: str, account_id: str, function: str, job_id: str, *arguments: Any) -> None:
    # arq's own enqueue_job takes three round trips to make ids unique. Ours are unique by their delivery number,
    # and a half-written entry must be overwritten rather than respected.
    job = serialize_job(function, arguments, {}, None, int(time() * 1000), serializer=encode).decode()
    keys = queue, turns(queue), job_key_prefix + job_id, bell(queue)
    pipe.eval(_PUT, len(keys), *keys, job_id, account_id, job, str(_EXPIRY_MILLISECONDS))


@dataclass(frozen=True, slots=True)
class PredictJob:
    """Run one prediction; `delivery` makes a repeated one a new queue entry."""

    prediction_id: str
    delivery: int
    version_id: str
    account_id: str = _NOBODY

    @property
    def job_id(self) -> str:
        return f"{self.prediction_id}:{self.delivery}"

    @property
    def queue(self) -> str:
        return predict_queue(self.version_id)

    def write(self, pipe: Pipeline) -> None:
        _write(pipe, self.queue, self.account_id, "predict", self.job_id, self.prediction_id, self.delivery)
        pipe.sadd(_VERSIONS, self.version_id)  # last: see close_queues


@dataclass(frozen=True, slots=True)
class TrainJob:
    """Run one training; one queue for all versions, because each gets a process of its own."""

    training_id: str
    delivery: int
    account_id: str = _NOBODY
    queue: ClassVar[str] = TRAIN_QUEUE

    @property
    def job_id(self) -> str:
        return f"{self.training_id}:{self.delivery}"

    def write(self, pipe: Pipeline) -> None:
        _write(pipe, self.queue, self.account_id, "train", self.job_id, self.training_id, self.delivery)


def job_of(row: Row[Any]) -> PredictJob | TrainJob:
    """What stands for a waiting prediction or training."""
    if row.kind == Kind.TRAINING:
        return TrainJob(row.id, row.delivery, row.account_id)
    return PredictJob(row.id, row.delivery, row.version_id, row.account_id)


@dataclass(frozen=True, slots=True)
class BuildJob:
    """Import a pushed version's predictor and publish its schema."""

    version_id: str
    delivery: int

    @property
    def job_id(self) -> str:
        return f"{self.version_id}:{self.delivery}"

    def write(self, pipe: Pipeline) -> None:
        _write(pipe, BUILD_QUEUE, _NOBODY, "build", self.job_id, self.version_id, self.delivery)


@dataclass(frozen=True, slots=True)
class DeliverJob:
    """Send what is due in one lane, such as what a prediction owes its receiver; `key` keeps triggers apart."""

    lane: str
    key: str
    queue: str = DELIVER_QUEUE

    @property
    def job_id(self) -> str:
        return f"deliver:{self.lane}:{self.key}"

    def write(self, pipe: Pipeline) -> None:
        _write(pipe, self.queue, _NOBODY, "deliver", self.job_id, self.lane)


async def missing(redis: Redis, jobs: list[tuple[str, str]]) -> list[bool]:
    """For each (queue, job id), whether Redis has lost a part of it."""
    pipe = redis.pipeline(transaction=False)
    for queue, job_id in jobs:
        pipe.zscore(queue, job_id)
        pipe.exists(job_key_prefix + job_id)
    answers = await pipe.execute() if jobs else []
    return [score is None or not exists for score, exists in zip(answers[::2], answers[1::2], strict=True)]


async def entries(redis: Redis) -> set[str]:
    """Ids of the predictions and trainings that have an entry in a queue, whether it is still of use or not."""
    pipe = redis.pipeline(transaction=False)
    for queue in (TRAIN_QUEUE, *map(predict_queue, await open_queues(redis))):
        pipe.zrange(queue, 0, -1)
    return {entry.decode().partition(":")[0] for queued in await pipe.execute() for entry in queued}


def open_redis(url: str, *, connections: int = 20) -> RedisPool:
    """A pool that notices a vanished server and outlives a restart of it.

    OSError is in the list because redis-py raises it plain when a reconnect is refused.
    """
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 3)
    return _open(url, connections, retry, [RedisConnectionError, RedisTimeoutError, OSError], read_timeout=5.0)


def open_listening_redis(url: str, *, connections: int = 20) -> RedisPool:
    """A pool for those who wait without an end. They are told of a loss at once: several of them may share one
    connection, which two must not mend at the same time."""
    return _open(url, connections, Retry(NoBackoff(), 0), [], read_timeout=None)


class _Connection(AbstractConnection):
    """A new connection is not asked whether it lives. redis-py asks with each word by which it introduces itself, over
    another connection if that one is gone: where a proxy accepts for a server that is away, these never end."""

    async def on_connect(self) -> None:
        self.next_health_check = inf  # until the first answer
        await super().on_connect()

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:  # uvloop's word for a connection that is gone
            await self.disconnect(nowait=True)
            raise RedisConnectionError("The connection is closed.") from error


def _open(
    url: str, connections: int, retry: Retry, retry_on: list[type[Exception]], read_timeout: float | None
) -> RedisPool:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=5,
        socket_timeout=read_timeout,
        socket_connect_timeout=2,
        health_check_interval=15,
        retry=retry,
        retry_on_error=retry_on,
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
    )
    pool.connection_class = type("Connection", (_Connection, pool.connection_class), {})
    redis = ArqRedis(pool, job_serializer=encode, job_deserializer=decode, expires_extra_ms=_EXPIRY_MILLISECONDS)
    redis.auto_close_connection_pool = True  # the pool is ours alone, so closing the client closes its connections
    return redis


async def open_queues(redis: Redis) -> list[str]:
    """The versions whose queues workers take jobs from."""
    members = await cast(Awaitable[set[bytes]], redis.smembers(_VERSIONS))
    return sorted(version.decode() for version in members)


async def close_queues(redis: Redis, version_ids: Iterable[str]) -> None:
    """Those that are empty; what is put in at the same moment opens its queue again, because it does so last."""
    pipe = redis.pipeline(transaction=False)
    for version_id in version_ids:
        keys = predict_queue(version_id), turns(predict_queue(version_id)), _VERSIONS
        pipe.eval(_CLOSE, len(keys), *keys, version_id)
    await pipe.execute()
