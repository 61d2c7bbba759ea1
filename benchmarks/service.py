"""The whole pipeline against plain arq, side by side in one run: `python -m benchmarks.service [--rounds 3]`.

Starts `./pinion up` itself, on DATABASE_URL and REDIS_URL if they are set, and talks HTTP to it. Prints a table.
"""

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

from benchmarks.timing import milliseconds, pace, paced, paced_posts
from benchmarks.wire import Client, Receiver

PROJECT = Path(__file__).parents[1]
PORT = 8711
TOKEN = "r8_benchmark"
PLAIN_REDIS = os.environ.get("PLAIN_ARQ_REDIS_URL", "redis://127.0.0.1:6379/14")
Figures = dict[str, float]


@contextmanager
def pinion(home: str) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """A running instance and the seconds until its bundled model gave the first answer."""
    settings = {"PINION_HOME": home, "PINION_PORT": str(PORT), "PINION_API_TOKEN": TOKEN}
    environment = {**os.environ, **settings, "PINION_WEBHOOK_ALLOW_CIDRS": "127.0.0.0/8"}
    started = time.perf_counter()
    process = subprocess.Popen([PROJECT / "pinion", "up"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("curl"):
                break
        yield process, started
    finally:
        process.terminate()
        process.wait()


@contextmanager
def plain_worker() -> Iterator[None]:
    """A plain arq worker."""
    command = [sys.executable, "-m", "benchmarks.plain_arq"]
    environment = {**os.environ, "PLAIN_ARQ_REDIS_URL": PLAIN_REDIS}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


async def ours(version: str) -> Figures:
    """One round of everything on a running instance."""
    body = {"version": version, "input": {"text": "hello"}}
    figures: Figures = {}
    for question in (_create_latency, _pick_up, _webhook_latency, throughput):
        print(f"  {question.__name__.strip('_').replace('_', ' ')}", file=sys.stderr)
        async with Client("127.0.0.1", PORT, TOKEN) as client:
            figures |= await question(client, body)
    return figures


async def _create_latency(_: Client, body: dict[str, Any]) -> Figures:
    took = await paced_posts(PORT, TOKEN, "/v1/predictions", body, 250, 50)
    return {"create p50 ms": milliseconds(took, 50), "create p99 ms": milliseconds(took, 99)}


async def _pick_up(client: Client, body: dict[str, Any]) -> Figures:
    waits = []
    for _ in range(50):
        row = await finished(client, (await client.request("POST", "/v1/predictions", body))["id"])
        moments = [datetime.fromisoformat(row[name]) for name in ("created_at", "started_at")]
        waits.append((moments[1] - moments[0]).total_seconds())
        await asyncio.sleep(0.03)
    return {"pick-up p50 ms": milliseconds(waits, 50)}


async def finished(client: Client, prediction_id: str) -> Any:
    while (row := await client.request("GET", f"/v1/predictions/{prediction_id}"))["status"] != "succeeded":  # noqa: ASYNC110
        await asyncio.sleep(0.005)  # polling is what clients do
    return row


async def _webhook_latency(client: Client, body: dict[str, Any]) -> Figures:
    begun: dict[str, float] = {}
    async with Receiver() as receiver:
        wanted = {**body, "webhook": receiver.url, "webhook_events_filter": ["completed"]}

        async def create(_: int) -> None:
            begin = time.perf_counter()
            begun[(await client.request("POST", "/v1/predictions", wanted))["id"]] = begin

        await paced(create, 200, 10)
        await receiver.until(len(begun))
        took = [receiver.came[prediction_id] - begin for prediction_id, begin in begun.items()]
    return {"webhook p50 ms": milliseconds(took, 50), "webhook p99 ms": milliseconds(took, 99)}


async def throughput(client: Client, body: dict[str, Any], count: int = 1500) -> Figures:
    """Of as many as it can end, from ten connections."""

    async def create_many(number: int) -> str:
        async with Client("127.0.0.1", PORT, TOKEN) as own:
            for _ in range(number):
                last = (await own.request("POST", "/v1/predictions", body))["id"]
        return last

    begin = time.perf_counter()
    last = await asyncio.gather(*(create_many(count // 10) for _ in range(10)))
    for prediction_id in last:  # the queue is in order, so these are the last to end
        await finished(client, prediction_id)
    return {"completed/s": count / (time.perf_counter() - begin)}


async def plain(redis: ArqRedis) -> Figures:
    """The same questions to plain arq, without HTTP or a database."""
    waits = []
    for _ in range(20):
        begin = time.time()
        job = await redis.enqueue_job("no_op", "hello")
        assert job
        began, _text = await job.result(timeout=30, poll_delay=0.01)
        waits.append(began - begin)
    begun: dict[str, float] = {}
    async with Receiver() as receiver:

        async def enqueue(number: int) -> None:
            begun[str(number)] = time.perf_counter()
            await redis.enqueue_job("post", receiver.url, str(number))

        await paced(enqueue, 100, 10)
        await receiver.until(len(begun))
        took = [receiver.came[key] - begin for key, begin in begun.items()]
    begin = time.perf_counter()
    jobs = [await redis.enqueue_job("no_op", "hello") for _ in range(300)]
    await asyncio.gather(*(job.result(timeout=120, poll_delay=0.05) for job in jobs if job))
    return {
        "pick-up p50 ms": milliseconds(waits, 50),
        "webhook p50 ms": milliseconds(took, 50),
        "webhook p99 ms": milliseconds(took, 99),
        "completed/s": len(jobs) / (time.perf_counter() - begin),
    }


def idle_megabytes(process: subprocess.Popen[str]) -> Figures:
    """Proportional memory of the tree, without model processes."""
    everything = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    total = sum(one.memory_full_info().pss for one in everything if "pinion_runtime" not in " ".join(one.cmdline()))
    return {"idle memory MB": total / 1e6}


async def measure(rounds: int, process: subprocess.Popen[str], started: float) -> None:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        first = {"version": "pinion/tiny-t5", "input": {"prompt": "spell: 4217"}}
        await finished(client, (await client.request("POST", "/v1/predictions", first))["id"])
        once = {"up to first answer s": time.perf_counter() - started, **idle_megabytes(process)}
        push("no-op")
        model = await client.request("GET", "/v1/models/pinion/no-op")
        version = model["latest_version"]["id"]
        redis = await create_pool(RedisSettings.from_dsn(PLAIN_REDIS))
        pairs = []
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            pairs.append((await ours(version), await plain(redis)))
        await redis.aclose()
    report(pairs, once)


def push(name: str) -> None:
    """A model of the folder beside this file, in which dashes are underscores."""
    environment = {**os.environ, "PINION_API_TOKEN": TOKEN, "PINION_PORT": str(PORT)}
    command = [PROJECT / "pinion", "push", str(PROJECT / "benchmarks" / name.replace("-", "_")), f"pinion/{name}"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def report(pairs: list[tuple[Figures, Figures]], once: Figures) -> None:
    """Medians over the rounds; the ratio says how many times better ours is."""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(f"load {os.getloadavg()[0]:.1f}, {'Postgres' if os.environ.get('DATABASE_URL') else 'SQLite'}, ", end="")
    print(f"ten million additions take {pace():.2f} s\n")
    print("| figure | Pinion | plain arq | ratio |\n|---|---:|---:|---:|")
    for name in pairs[0][0]:
        mine = statistics.median(pair[0][name] for pair in pairs)
        if name not in pairs[0][1]:
            print(f"| {name} | {mine:.1f} | – | – |")
            continue
        theirs = statistics.median(pair[1][name] for pair in pairs)
        ratio = mine / theirs if name.endswith("/s") else theirs / mine
        print(f"| {name} | {mine:.1f} | {theirs:.1f} | {ratio:.1f} |")
    for name, value in once.items():
        print(f"| {name} | {value:.1f} | – | – |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="pb-") as home, plain_worker():
        with pinion(home):
            pass  # everything is set up and registered: the second start is the one people wait for
        with pinion(home) as (process, started):
            asyncio.run(measure(rounds, process, started))


if __name__ == "__main__":
    main()
