"""The API alone, on one core, over a million predictions: `python -m benchmarks.api [--rounds 3] [--rows 1000000]`.

Beside it, in the same run and on the same engine, a bare FastAPI route that writes one row. Prints a table.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import time
from typing import Any

import uvloop

from benchmarks import million, open_streams
from benchmarks.api_server import keep_to_core, place
from benchmarks.timing import milliseconds, pace, paced_posts
from benchmarks.wire import Client

CREATES, PER_SECOND = 500, 50
READERS, READ_SECONDS = 16, 3.0
LISTS = 100
Figures = dict[str, float]
BODY = {"version": million.VERSION, "input": {"text": "hello"}}


async def compare(port: int, bare_port: int) -> tuple[Figures, Figures]:
    """One round: ours, and of the bare one what it can do."""
    ours, bare = Figures(), Figures()
    for figures, to, path in ((ours, port, "/v1/predictions"), (bare, bare_port, "/rows")):
        took = await paced_posts(to, million.TOKENS["many"], path, BODY, CREATES, PER_SECOND)
        figures |= {"create p50 ms": milliseconds(took, 50), "create p99 ms": milliseconds(took, 99)}
        figures["reads/s"] = await _reads_per_second(to, path)
    for owner in million.TOKENS:
        took = await _lists(port, owner)
        ours |= {f"list p50 ms, {owner}": milliseconds(took, 50), f"list p95 ms, {owner}": milliseconds(took, 95)}
    return ours, bare


async def _reads_per_second(port: int, path: str) -> float:
    """Over several connections at once, each with a row of its own."""
    end = time.perf_counter() + READ_SECONDS

    async def read() -> int:
        count = 0
        async with Client("127.0.0.1", port, million.TOKENS["many"]) as own:
            made = await own.request("POST", path, BODY)
            while time.perf_counter() < end:
                await own.request("GET", f"{path}/{made['id']}")
                count += 1
        return count

    return sum(await asyncio.gather(*(read() for _ in range(READERS)))) / READ_SECONDS


async def _lists(port: int, owner: str) -> list[float]:
    """Seconds that each look at the newest page took."""
    took = []
    async with Client("127.0.0.1", port, million.TOKENS[owner]) as client:
        for _ in range(LISTS):
            begin = time.perf_counter()
            page = await client.request("GET", "/v1/predictions")
            took.append(time.perf_counter() - begin)
    assert len(page["results"]) == 100, "fewer rows than a page: the figure would say nothing"
    return took


def report(pairs: list[tuple[Figures, Figures]], streams: Figures, rows: int) -> None:
    """Medians over the rounds; the ratio says what ours costs more, or does less, than the bare one."""
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, {'Postgres' if os.environ.get('DATABASE_URL') else 'SQLite'}, ", end="")
    print(f"{rows} rows, ten million additions take {pace():.2f} s\n")
    print("| figure | Pinion | bare FastAPI | ratio |\n|---|---:|---:|---:|")
    for name in pairs[0][0]:
        ours, bare = (statistics.median(each.get(name, 0.0) for each in side) for side in zip(*pairs, strict=True))
        print(f"| {name} | {ours:.1f} | " + (f"{bare:.1f} | {ours / bare:.2f} |" if bare else "– | – |"))
    for name, value in streams.items():
        print(f"| {name} | {value:.1f} | – | – |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given: Any = parser.parse_args()
    open_streams.allow_files()
    with place() as here:
        say("writing rows")
        million.fill(here.settings, given.rows)
        keep_to_core(os.getpid(), 1)
        with here.api() as (_, port), here.bare() as bare_port:
            pairs = [uvloop.run(compare(port, bare_port)) for _ in range(given.rounds)]
        with here.api() as (process, port):
            say("streams")
            streams = uvloop.run(open_streams.measure(here.settings, process, port))
    report(pairs, streams, given.rows)


def say(what: str) -> None:
    print(what, file=sys.stderr)


if __name__ == "__main__":
    main()
