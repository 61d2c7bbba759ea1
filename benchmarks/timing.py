"""How the benchmarks take time: calls at a fixed rate, percentiles, and how fast this machine is today."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.wire import Client

_CONNECTIONS = 8


async def paced(call: Callable[[int], Awaitable[None]], count: int, per_second: float) -> None:
    """Calls at a fixed rate whether or not earlier ones have ended; returns when all have."""
    begin, tasks = time.perf_counter(), []
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
        tasks.append(asyncio.ensure_future(call(number)))
    await asyncio.gather(*tasks)


async def paced_posts(port: int, token: str, path: str, body: Any, count: int, per_second: float) -> list[float]:
    """Seconds until each answer came, over a few connections that are kept."""
    took: list[float] = []
    free: asyncio.Queue[Client] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        free.put_nowait(await Client("127.0.0.1", port, token).__aenter__())

    async def post(_number: int) -> None:
        client = await free.get()
        begin = time.perf_counter()
        await client.request("POST", path, body)
        took.append(time.perf_counter() - begin)
        free.put_nowait(client)

    await paced(post, count, per_second)
    while not free.empty():
        await free.get_nowait().__aexit__()
    return took


def milliseconds(seconds: list[float], percentile: int) -> float:
    """One percentile of them."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, round(len(ordered) * percentile / 100))]


def pace() -> float:
    """Seconds that ten million additions take: hosts of one name differ by a factor of two."""
    begin, total = time.perf_counter(), 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - begin
