"""`pinion serve` against the packages `cog` 0.23.1 and 0.16.12, one no-op model: `python -m benchmarks.serve`.

Each package is installed into an environment that is thrown away; one that cannot be installed is left out and named.
All servers take turns in one run, on the same machine, with the same client. Prints a table.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.timing import pace
from benchmarks.wire import Client

PROJECT = Path(__file__).parents[1]
PACKAGES = ("0.23.1", "0.16.12")
SECONDS = 3.0
RETRY_SECONDS = 0.001
BODY = {"input": {"text": "hello"}}
Figures = dict[str, float]


@dataclass(frozen=True)
class Server:
    """How one is started in a model's folder."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def package(version: str, folder: Path) -> Server | None:
    """The server of a package, in an environment made for it; None when that cannot be had."""
    place = folder / version
    uv = Path(sys.executable).with_name("uv")
    for command in (["venv", "--quiet", place], ["pip", "install", "--quiet", "--python", place, f"cog=={version}"]):
        done = subprocess.run([uv, *command], capture_output=True, text=True)
        if done.returncode:
            print(f"cog {version} is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            return None
    environment = {"COG_PREDICT_TYPE_STUB": "predict.py:Predictor", "PATH": f"{place}/bin:{os.environ['PATH']}"}
    return Server(
        f"cog {version}", [f"{place}/bin/python", "-m", "cog.server.http", "--host", "127.0.0.1"], environment
    )


@contextmanager
def running(server: Server, model: Path) -> Iterator[tuple[psutil.Process, int, float]]:
    """Its process, its port, and the seconds until it was READY."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, **server.environment, "PORT": str(port)}
    began = time.perf_counter()
    process = subprocess.Popen(
        server.command, cwd=model, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not is_ready(port):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{server.name} did not start")
            time.sleep(0.005)
        yield psutil.Process(process.pid), port, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def is_ready(port: int) -> bool:
    try:
        return bool(json.load(get(port, "/health-check"))["status"] == "READY")
    except OSError:
        return False


def get(port: int, path: str) -> "urllib.request._UrlopenRet":
    return urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5)


def measure(server: Server, model: Path) -> Figures:
    """One round with one server."""
    with running(server, model) as (process, port, started):
        tree = [process, *process.children(recursive=True)]
        memory = sum(each.memory_full_info().pss for each in tree) / 2**20
        asyncio.run(load(port, 1, 0.5))
        figures = {"start to READY s": started, "idle memory MB": memory}
        for connections in (1, 16):
            took, refused = asyncio.run(load(port, connections, SECONDS))
            figures |= {
                f"answers/s, {connections} connections": len(took) / SECONDS,
                f"p50 ms, {connections} connections": statistics.median(took) * 1000,
                f"p99 ms, {connections} connections": statistics.quantiles(took, n=100)[98] * 1000,
                f"409 per answer, {connections} connections": refused / len(took),
            }
    return figures


async def load(port: int, connections: int, seconds: float) -> tuple[list[float], int]:
    """How long each answer took, its retries included, and how many were refused because all seats were taken."""
    took: list[float] = []
    refused = 0
    end = time.perf_counter() + seconds

    async def ask() -> None:
        nonlocal refused
        async with Client("127.0.0.1", port, "none") as client:
            while (began := time.perf_counter()) < end:
                while not await is_answered(client):
                    refused += 1
                    await asyncio.sleep(RETRY_SECONDS)
                took.append(time.perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(connections)))
    return took, refused


async def is_answered(client: Client) -> bool:
    try:
        answer = await client.request("POST", "/predictions", BODY)
    except RuntimeError:  # the client's word for a refusal
        return False
    if answer["output"] != "hello":
        raise ValueError(f"not the model's answer: {answer}")
    return True


def report(rounds: list[dict[str, Figures]]) -> None:
    """Medians over the rounds; a ratio says how many times better ours is than the package."""
    ours, *others = rounds[0]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ")
    print(f"load {os.getloadavg()[0]:.1f}, ten million additions take {pace():.2f} s\n")
    print(f"| figure | {ours} | {' | '.join(f'{other} | ratio' for other in others)} |")
    print("|---|---:|" + "---:|---:|" * len(others))
    for name in rounds[0][ours]:
        medians = {server: statistics.median(each[server][name] for each in rounds) for server in rounds[0]}
        cells = [f"{medians[ours]:.2f}"]
        for other in others:
            cells += [f"{medians[other]:.2f}", ratio(name, medians[ours], medians[other])]
        print(f"| {name} | {' | '.join(cells)} |")


def ratio(name: str, mine: float, theirs: float) -> str:
    if name.startswith("409"):
        return "–"
    return f"{mine / theirs if '/s' in name else theirs / mine:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="serve-benchmark-") as name:
        folder = Path(name)
        model = shutil.copytree(PROJECT / "benchmarks" / "no_op", folder / "model")
        pinion = Server("pinion serve", [str(PROJECT / "pinion"), "serve", "."])
        with running(pinion, model) as (_, port, _):
            (model / ".cog").mkdir()
            # the newer package serves and checks what its command line would have written here
            (model / ".cog" / "openapi_schema.json").write_bytes(get(port, "/openapi.json").read())
        servers = [pinion, *filter(None, (package(version, folder) for version in PACKAGES))]
        rounds = []
        for number in range(count):
            print(f"round {number + 1}", file=sys.stderr)
            rounds.append({server.name: measure(server, model) for server in servers})
    report(rounds)


if __name__ == "__main__":
    main()
