"""What one account's dead receivers cost another account: `python -m benchmarks.webhooks [--rounds 3]`.

Starts `./pinion up` itself, on DATABASE_URL and REDIS_URL if they are set. The time is that of the first attempt, from
the prediction's `completed_at` until its webhook has come, on one clock.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from benchmarks.service import PORT, PROJECT, TOKEN, Figures, finished, pinion, push
from benchmarks.timing import milliseconds, pace, paced
from benchmarks.wire import Client, Receiver

HEALTHY, PER_SECOND = 150, 10
DEAD = 250
Measure = Callable[[int, str], Coroutine[Any, Any, list[Figures]]]
"""From the number of rounds and the token of a second account to the figures of each round."""
HOSTS = {"one dead": 1, "sixty dead": 60}
"""To so many hosts, as the sender tells them apart, these messages are owed."""


@asynccontextmanager
async def silent_receivers(number: int) -> AsyncIterator[list[str]]:
    """Take requests and never answer; their addresses."""
    writers: set[asyncio.StreamWriter] = set()

    async def keep(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)

    servers = [await asyncio.start_server(keep, "127.0.0.1", 0) for _ in range(number)]
    try:
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/" for server in servers]
    finally:
        for server in servers:
            server.close()
        for writer in writers:
            writer.close()


async def first_attempts(version: str) -> list[float]:
    """Seconds from the end of each prediction of the healthy account until its webhook came."""
    async with Client("127.0.0.1", PORT, TOKEN) as client, Receiver() as receiver:
        body = _wanted(version, receiver.url)
        ids: list[str] = []

        async def create(_: int) -> None:
            ids.append((await client.request("POST", "/v1/predictions", body))["id"])

        await paced(create, HEALTHY, PER_SECOND)
        await receiver.until(HEALTHY)
        epoch = time.time() - time.perf_counter()
        rows = [await finished(client, prediction_id) for prediction_id in ids]
    return [receiver.came[row["id"]] + epoch - datetime.fromisoformat(row["completed_at"]).timestamp() for row in rows]


def _wanted(version: str, url: str) -> dict[str, Any]:
    text = {"version": version, "input": {"text": "hello"}}
    return {**text, "webhook": url, "webhook_events_filter": ["completed"]}


async def one_round(version: str, token_of_another: str) -> Figures:
    """The healthy account alone, then beside one whose receivers answer nothing, then as they are closed."""
    alone = await first_attempts(version)
    figures = {"alone p50 ms": milliseconds(alone, 50), "alone p95 ms": milliseconds(alone, 95)}
    for what, number in HOSTS.items():
        async with silent_receivers(number) as urls, Client("127.0.0.1", PORT, token_of_another) as other:
            wanted = [_wanted(version, urls[index % number]) for index in range(DEAD)]
            made = [(await other.request("POST", "/v1/predictions", body))["id"] for body in wanted]
            for prediction_id in made:
                await finished(other, prediction_id)
            beside = await first_attempts(version)
        figures |= {
            f"beside {what} p50 ms": milliseconds(beside, 50),
            f"beside {what} p95 ms": milliseconds(beside, 95),
        }
        figures[f"p95 ratio beside {what}"] = figures[f"beside {what} p95 ms"] / figures["alone p95 ms"]
        refused = await first_attempts(version)  # all attempts under way have failed at once, and are made again
        figures[f"as {what} begin to refuse p95 ms"] = milliseconds(refused, 95)
    return figures


async def measure(rounds: int, token_of_another: str) -> list[Figures]:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        version = (await client.request("GET", "/v1/models/pinion/no-op"))["latest_version"]["id"]
        await client.request("PATCH", "/v1/models/pinion/no-op", {"visibility": "public"})
    await first_attempts(version)  # a service that has just started has other things to do
    return [await one_round(version, token_of_another) for _ in range(rounds)]


def another_account(home: str) -> str:
    """The token of a second account."""

    def command(*arguments: str) -> str:
        environment = {**os.environ, "PINION_HOME": home}
        run = [PROJECT / "pinion", *arguments]
        return subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    command("account", "create", "other")
    return command("token", "create", "other")


def compared(description: str | None, model: str, measure: Measure, decimals: int) -> None:
    """Runs the rounds on a Pinion of its own with `model` pushed, and prints the medians."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="pb-") as home, pinion(home):
        push(model)
        found = asyncio.run(measure(rounds, another_account(home)))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(f"load {os.getloadavg()[0]:.1f}, {'Postgres' if os.environ.get('DATABASE_URL') else 'SQLite'}, ", end="")
    print(f"ten million additions take {pace():.2f} s\n")
    print("| figure | median |\n|---|---:|")
    for name in found[0]:
        print(f"| {name} | {statistics.median(figures[name] for figures in found):.{decimals}f} |")


if __name__ == "__main__":
    compared(__doc__, "no-op", measure, decimals=1)
