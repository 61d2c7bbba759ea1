"""What a running prediction has to say right now, over Redis: publish, follow, ask to cancel.

A cache and a hint: the row in the database is the truth, and a reader that hears nothing looks there.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError, ResponseError

from shared.tasks import end, start

KEEP_SECONDS = 3600
"""How long a stream can be replayed from Redis; afterwards it comes from the row."""
_LAST = 2**53
"""Place of the last word in a stream, behind any number of items."""
_SILENCED = _LAST - 1
"""Place of a mark behind which an attempt can say nothing more, but that it has been ended."""
_LOOK_SECONDS = 0.5
# What comes too late for its place is heard by nobody: followers and those who come late are told the same. A stream's
# channel has its name.
_TELL = """
for number, stream in ipairs(KEYS) do
    local place, chunk = ARGV[2 * number], ARGV[2 * number + 1]
    local added = redis.pcall('XADD', stream, place, 'chunk', chunk)
    if not (type(added) == 'table' and added.err and string.find(added.err, 'equal or smaller')) then
        redis.call('EXPIRE', stream, ARGV[1])
        redis.call('PUBLISH', stream, chunk)
    end
end
"""
_log = structlog.get_logger()


class Chunk(msgspec.Struct, frozen=True):
    """Consecutive output items of one attempt; `finished` marks the last word of the prediction."""

    prediction_id: str
    attempt: int
    start: int
    """Index in the prediction's output of the first of `values`."""
    values: list[Any]
    finished: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.values)

    @property
    def place(self) -> str:
        """Where its items end: what is written again is refused by Redis rather than doubled."""
        return f"{self.attempt}-{_LAST if self.finished else self.end}"

    def write(self, pipe: Pipeline) -> None:
        Chunks([self]).write(pipe)


@dataclass(frozen=True, slots=True)
class Chunks:
    """What many predictions have to say, in one command."""

    chunks: list[Chunk]

    def write(self, pipe: Pipeline) -> None:
        keys = [stream_key(chunk.prediction_id) for chunk in self.chunks]
        said = [part for chunk in self.chunks for part in (chunk.place, msgspec.json.encode(chunk).decode())]
        pipe.eval(_TELL, len(keys), *keys, str(KEEP_SECONDS), *said)


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Tells the worker that runs a prediction to stop it."""

    worker_id: str
    prediction_id: str

    def write(self, pipe: Pipeline) -> None:
        pipe.publish(cancel_channel(self.worker_id), self.prediction_id)


DEPLOYMENTS_CHANNEL = "pinion:deployments"
"""On which workers hear that they should look at the deployments."""


class DeploymentsChanged:
    """Tells all workers."""

    def write(self, pipe: Pipeline) -> None:
        pipe.publish(DEPLOYMENTS_CHANNEL, b"")


def stream_key(prediction_id: str) -> str:
    """Redis stream holding a prediction's chunks for those who come late."""
    return f"pinion:live:{prediction_id}"


def channel(prediction_id: str) -> str:
    """Channel on which a prediction's chunks are told at once."""
    return stream_key(prediction_id)


def cancel_channel(worker_id: str) -> str:
    """Channel on which a worker hears what to cancel."""
    return f"pinion:cancel:{worker_id}"


async def replay(redis: Redis, prediction_id: str) -> list[Chunk]:
    """Everything said so far, oldest first."""
    entries = await redis.xrange(stream_key(prediction_id))
    return [msgspec.json.decode(fields[b"chunk"], type=Chunk) for _, fields in entries if b"chunk" in fields]


async def silence(redis: Redis, prediction_id: str, attempt: int) -> None:
    """From now on an attempt can say nothing more, however alive it is."""
    try:
        await redis.xadd(stream_key(prediction_id), {"silenced": ""}, id=f"{attempt}-{_SILENCED}")
        await redis.expire(stream_key(prediction_id), KEEP_SECONDS)
    except ResponseError as error:
        if "equal or smaller" not in str(error):  # it is silent already
            raise


def joined(items: list[Any], chunks: Iterable[Chunk]) -> list[Any]:
    """Saved items with those that were said after them; what stands behind a gap is left out."""
    whole = list(items)
    for chunk in chunks:
        if chunk.start <= len(whole) < chunk.end:
            whole += chunk.values[len(whole) - chunk.start :]
    return whole


class Feed:
    """All that this process follows, over one connection however many followers there are.

    Owns a task that reads; it survives restarts of Redis, during which followers simply hear nothing.
    """

    def __init__(self, redis: Redis) -> None:
        self._pubsub = redis.pubsub(ignore_subscribe_messages=True)
        self._followers: defaultdict[str, set[asyncio.Queue[bytes]]] = defaultdict(set)
        self._subscribed: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._changes: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()  # commands that meet on a closed connection would each open one
        self._is_behind = True  # somebody may follow a channel we are not subscribed to

    async def __aenter__(self) -> Self:
        self._task = start(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task:
            await end(self._task, *self._changes)
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    @asynccontextmanager
    async def follow(self, name: str) -> AsyncIterator["asyncio.Queue[bytes]"]:
        """Hear everything told on a channel from now on."""
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        self._followers[name].add(heard)
        try:
            if name not in self._subscribed:
                await self._settle(name)
            yield heard
        finally:
            self._followers[name].discard(heard)
            if not self._followers[name]:
                del self._followers[name]
                await self._settle(name)

    async def _settle(self, name: str) -> None:
        """Have a channel subscribed to or not, as its followers want it when it is our turn.

        In a task of its own: whoever is canceled meanwhile leaves it neither to others nor to nobody half done.
        """
        change = start(self._change(name))
        self._changes.add(change)
        change.add_done_callback(self._changes.discard)
        await asyncio.shield(change)

    async def _change(self, name: str) -> None:
        try:
            async with self._turn:
                if name in self._followers and name not in self._subscribed:
                    await self._pubsub.subscribe(name)
                    self._subscribed.add(name)
                elif name in self._subscribed and name not in self._followers:
                    self._subscribed.discard(name)
                    await self._pubsub.unsubscribe(name)
        except (RedisError, OSError) as error:
            self._is_behind = True
            _log.warning("live feed cut off", error=str(error))

    async def _read(self) -> None:
        while True:
            try:
                if self._is_behind:
                    await self._catch_up()
                self._hand_out(await self._pubsub.get_message(timeout=_LOOK_SECONDS))
            except (RedisError, OSError) as error:
                self._is_behind = True
                _log.warning("live feed lost", error=str(error))
                await asyncio.sleep(_LOOK_SECONDS)

    async def _catch_up(self) -> None:
        """Subscribe to all that is followed, and to one channel more: there must be something to listen to."""
        self._is_behind = False
        async with self._turn:
            followed = set(self._followers)
            await self._pubsub.subscribe("pinion:feed", *followed)
            self._subscribed |= followed

    def _hand_out(self, message: dict[str, Any] | None) -> None:
        if message and message["type"] == "message":
            for heard in self._followers.get(message["channel"].decode(), ()):
                heard.put_nowait(message["data"])
