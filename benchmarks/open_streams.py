"""Two thousand clients that each follow a running prediction: what they cost the API, and how soon all hear a token."""

import asyncio
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil
from redis.asyncio import Redis
from sqlalchemy import insert

from benchmarks.api_server import OURS, as_ours
from benchmarks.million import prediction
from shared.accounts import find_by_username
from shared.database import Database
from shared.live import Chunk
from shared.queue import open_redis
from shared.settings import Settings
from shared.tables import Prediction

STREAMS = 2000
_AT_ONCE = 50
_SILENT_SECONDS = 5.0
_SPARE_FILES = 200


@dataclass(frozen=True)
class Stream:
    """One that is open, with its client's end."""

    prediction_id: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self, what: bytes) -> None:
        await self.reader.readuntil(what)


async def measure(settings: Settings, api: psutil.Process, port: int) -> dict[str, float]:
    """On an API that has nothing else to do."""
    redis = open_redis(as_ours(settings.redis_url))
    database = Database(settings, redis)
    try:
        for stream in await _opened(port, await _running(database, _AT_ONCE)):
            stream.writer.close()  # what the first of them cost is paid once
        return await _figures(redis, api, port, await _running(database, STREAMS))
    finally:
        await redis.aclose()
        await database.close()


async def _figures(redis: Redis, api: psutil.Process, port: int, tokens: dict[str, str]) -> dict[str, float]:
    before = api.memory_info().rss
    begin = time.perf_counter()
    streams = await _opened(port, tokens)
    opened = time.perf_counter() - begin
    busy = sum(api.cpu_times()[:2])
    await asyncio.sleep(_SILENT_SECONDS)
    busy = sum(api.cpu_times()[:2]) - busy
    heard = await _seconds_until_all_hear(redis, streams)
    figures = {
        "streams opened/s": STREAMS / opened,
        "KB a stream": (api.memory_info().rss - before) / STREAMS / 1000,
        "Redis connections": await _connections(redis),
        "% of a core while silent": 100 * busy / _SILENT_SECONDS,
        "a token to all, ms": 1000 * heard,
    }
    for stream in streams:
        stream.writer.close()
    return figures


async def _running(database: Database, count: int) -> dict[str, str]:
    """New predictions that a worker seems to be at, and the tokens of their streams."""
    owner = await find_by_username(database, "many")
    assert owner
    rows = [prediction(owner.id, datetime.now(UTC)) for _ in range(count)]
    async with database.transaction() as transaction:
        await transaction.execute(insert(Prediction), rows)
    return {row["id"]: row["id"] + row["stream_token"] for row in rows}


async def _opened(port: int, tokens: dict[str, str]) -> list[Stream]:
    turn = asyncio.Semaphore(_AT_ONCE)

    async def open_one(prediction_id: str, token: str) -> Stream:
        async with turn:
            stream = Stream(prediction_id, *await asyncio.open_connection("127.0.0.1", port))
            stream.writer.write(f"GET /v1/streams/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            await stream.hear(b": hi\n\n")
            return stream

    return await asyncio.gather(*(open_one(*each) for each in tokens.items()))


async def _seconds_until_all_hear(redis: Redis, streams: list[Stream]) -> float:
    begin = time.perf_counter()
    pipe = redis.pipeline(transaction=False)
    for stream in streams:
        Chunk(stream.prediction_id, 1, 0, ["token"]).write(pipe)
    await pipe.execute()
    await asyncio.gather(*(stream.hear(b"data: token\n\n") for stream in streams))
    return time.perf_counter() - begin


async def _connections(redis: Redis) -> int:
    """Those to the same database of it, without the benchmark's."""
    clients = await redis.client_list()
    number = next(client["db"] for client in clients if client["name"] == OURS)
    return sum(client["db"] == number and client["name"] != OURS for client in clients)


def allow_files() -> None:
    """As many as it takes, to us and to the processes started from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = STREAMS + _SPARE_FILES
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
