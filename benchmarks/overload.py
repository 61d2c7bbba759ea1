"""What is still done where ten times as much is asked for: `python -m benchmarks.overload [--rounds 3]`.

Starts `./pinion up` itself, on DATABASE_URL and REDIS_URL if they are set, with room for a hundred predictions to wait.
First half as many are made, which says what one worker can do. Then predictions come at ten times that rate, whether or
not those before were answered, and another account asks for one now and then.
"""

import asyncio
import math
import os
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from benchmarks.service import PORT, TOKEN, Figures, finished
from benchmarks.timing import milliseconds, paced
from benchmarks.webhooks import compared
from benchmarks.wire import Client, Refused

ROOM, TIMES, SECONDS = 100, 10, 20
CONNECTIONS = 16
NAP_SECONDS = 0.05
OTHERS_PER_SECOND = 1


class Flood:
    """Predictions asked for over a few connections, and what became of each request."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._free: asyncio.Queue[Client] = asyncio.Queue()
        self.accepted: list[str] = []
        self.refused_seconds: list[float] = []

    async def __aenter__(self) -> "Flood":
        for _ in range(CONNECTIONS):
            self._free.put_nowait(await Client("127.0.0.1", PORT, TOKEN).__aenter__())
        return self

    async def __aexit__(self, *exc: object) -> None:
        while not self._free.empty():
            await self._free.get_nowait().__aexit__()

    async def ask(self, _number: int) -> None:
        client = await self._free.get()
        begin = time.perf_counter()
        try:
            self.accepted.append((await client.request("POST", "/v1/predictions", self._body))["id"])
        except Refused as refused:
            if refused.status not in (429, 503):
                raise
            self.refused_seconds.append(time.perf_counter() - begin)
        finally:
            self._free.put_nowait(client)


async def capacity(body: Any) -> float:
    """Predictions ended a second while there is always another one."""
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        ids = [(await client.request("POST", "/v1/predictions", body))["id"] for _ in range(ROOM // 2)]
    rows = await ended(TOKEN, ids)
    started, over = (sorted(_moment(row, name) for row in rows) for name in ("started_at", "completed_at"))
    return len(rows) / (over[-1] - started[0])


async def waits(body: Any, token: str) -> list[float]:
    """Seconds from creation to the end, of one prediction now and then."""
    ids: list[str] = []
    async with Client("127.0.0.1", PORT, token) as client:

        async def make(_number: int) -> None:
            ids.append((await client.request("POST", "/v1/predictions", body))["id"])

        await paced(make, SECONDS * OTHERS_PER_SECOND, OTHERS_PER_SECOND)
    return [_moment(row, "completed_at") - _moment(row, "created_at") for row in await ended(token, ids)]


async def ended(token: str, ids: Sequence[str]) -> list[Any]:
    async with Client("127.0.0.1", PORT, token) as client:
        return [await finished(client, prediction_id) for prediction_id in ids]


async def one_round(body: Any, token_of_another: str) -> Figures:
    can = await capacity(body)
    alone = await waits(body, token_of_another)
    async with Flood(body) as flood:
        begin, count = time.time(), math.ceil(can * TIMES * SECONDS)
        _, beside = await asyncio.gather(paced(flood.ask, count, can * TIMES), waits(body, token_of_another))
    ends = [_moment(row, "completed_at") - begin for row in await ended(TOKEN, flood.accepted)]
    done = sum(end <= SECONDS for end in ends) / SECONDS + OTHERS_PER_SECOND
    return {
        "capacity/s": can,
        "asked for/s": can * TIMES,
        "done/s": done,
        "done of capacity": done / can,
        "refused": len(flood.refused_seconds) / count,
        "refused after p95 ms": milliseconds(flood.refused_seconds, 95),
        "all done after the flood s": max(ends) - SECONDS,
        "another waits alone p95 ms": milliseconds(alone, 95),
        "another waits beside p95 ms": milliseconds(beside, 95),
    }


def _moment(row: Any, name: str) -> float:
    return datetime.fromisoformat(row[name]).timestamp()


async def measure(rounds: int, token_of_another: str) -> list[Figures]:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        version = (await client.request("GET", "/v1/models/pinion/naps"))["latest_version"]["id"]
        await client.request("PATCH", "/v1/models/pinion/naps", {"visibility": "public"})
        body = {"version": version, "input": {"seconds": NAP_SECONDS}}
        await finished(client, (await client.request("POST", "/v1/predictions", body))["id"])  # the model is up then
    return [await one_round(body, token_of_another) for _ in range(rounds)]


if __name__ == "__main__":
    os.environ["PINION_MODEL_BACKLOG_MAX"] = str(ROOM)
    compared(__doc__, "naps", measure, decimals=2)
