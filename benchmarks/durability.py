"""What it costs that nothing is lost: `DATABASE_URL=postgresql://… python -m benchmarks.durability [--rounds 5]`.

The same pipeline ends as many predictions as it can, in turns as it is and with its safety nets off: commits do not
wait for the disk, no step of a prediction is noted by triggers, and workers hardly ever renew their leases. What is
left is what an answer needs at all: a row, a queue entry, a claim, an ending. Prints medians.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy import make_url

from benchmarks.service import PORT, TOKEN, finished, pinion, push, throughput
from benchmarks.timing import pace
from benchmarks.wire import Client

REST = {"PINION_HEARTBEAT_SECONDS": "600", "PINION_LEASE_SECONDS": "6000"}
COUNT = 3000


@contextmanager
def nets(are_on: bool) -> Iterator[None]:
    """Whether they are, for every process that starts inside."""
    asyncio.run(_set(are_on))
    os.environ.update({} if are_on else REST)
    try:
        yield
    finally:
        for name in REST:
            os.environ.pop(name, None)
        asyncio.run(_set(True))


async def _set(are_on: bool) -> None:
    url = os.environ["DATABASE_URL"]
    connection = await asyncpg.connect(url)
    try:
        waits = "on" if are_on else "off"
        await connection.execute(f'ALTER DATABASE "{make_url(url).database}" SET synchronous_commit = {waits}')
        await connection.execute(f"ALTER TABLE predictions {'ENABLE' if are_on else 'DISABLE'} TRIGGER USER")
    finally:
        await connection.close()


async def completed_per_second() -> float:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        version = (await client.request("GET", "/v1/models/pinion/no-op"))["latest_version"]["id"]
        body = {"version": version, "input": {"text": "hello"}}
        await finished(client, (await client.request("POST", "/v1/predictions", body))["id"])  # the model is up then
        return (await throughput(client, body, COUNT))["completed/s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        sys.exit("SQLite lets nobody choose from outside whether it waits: set DATABASE_URL to an empty Postgres.")
    figures: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory(prefix="pb-") as home:
        with pinion(home):
            push("no-op")
        for number in range(rounds):
            for are_on in (True, False) if number % 2 else (False, True):
                with nets(are_on), pinion(home):
                    figures[are_on].append(asyncio.run(completed_per_second()))
    on, off = (statistics.median(figures[are_on]) for are_on in (True, False))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Postgres, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, ten million additions take {pace():.2f} s\n")
    print("| figure | as it is | nets off | ratio |\n|---|---:|---:|---:|")
    print(f"| completed/s | {on:.1f} | {off:.1f} | {on / off:.2f} |")


if __name__ == "__main__":
    main()
