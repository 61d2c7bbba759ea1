"""What the model runtime costs: a prediction and a streamed token, beside a bare echo over the same kind of pipes.

    .venv/bin/python -m benchmarks.runtime --rounds 5

The driver writes and reads frames with plain system calls, so nothing of the worker is measured. A prediction is one
request and one answer, a token one line from a process that is not asked for it; the bare processes do nothing else.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ROOT / "runtime" / "pinion_runtime" / "main.py"
PREDICTIONS, TOKENS = 1000, 20_000
TARGETS = {"prediction": 500.0, "token": 30.0}
# Both bare programs get the same descriptors as the runtime.
ECHO = """
import os, sys
read, write = int(sys.argv[1]), int(sys.argv[2])
while received := os.read(read, 65536):
    os.write(write, received)
"""
TICKS = """
import os, sys
read, write = int(sys.argv[1]), int(sys.argv[2])
while received := os.read(read, 65536):
    for number in range(int(received)):
        os.write(write, b'{"type":"output","id":"p","value":"token"}\\n')
    os.write(write, b'{"type":"done"}\\n')
"""
MODELS = {
    "sync": "from typing import Iterator\n"
    "def predict(to: int = 0) -> Iterator[str]:\n"
    "    for _ in range(to): yield 'token'\n",
    "async": "from typing import AsyncIterator\n"
    "async def predict(to: int = 0) -> AsyncIterator[str]:\n"
    "    for _ in range(to): yield 'token'\n",
}


class Peer:
    """A process at the other end of two pipes."""

    def __init__(self, command: list[str], folder: Path) -> None:
        ours_read, theirs_write = os.pipe()
        theirs_read, ours_write = os.pipe()
        self._read, self._write, self._rest = ours_read, ours_write, b""
        self._process = subprocess.Popen(
            [*command, str(theirs_read), str(theirs_write)],
            cwd=folder,
            pass_fds=(theirs_read, theirs_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_read)
        os.close(theirs_write)

    def send(self, line: bytes) -> None:
        os.write(self._write, line)

    def until(self, end: bytes) -> None:
        """Reads to the end of the line that holds `end`."""
        while True:
            place = self._rest.find(end)
            if place >= 0 and (over := self._rest.find(b"\n", place)) >= 0:
                self._rest = self._rest[over + 1 :]
                return
            self._rest = self._rest[-len(end) - 4096 :] + os.read(self._read, 1 << 20)

    def close(self) -> None:
        os.close(self._write)
        self._process.wait()
        os.close(self._read)


@contextlib.contextmanager
def peers(folder: Path) -> Iterator[dict[str, Peer]]:
    """The bare ones, and a model process of each kind that is ready."""
    python = [sys.executable, "-I"]
    found = {"echo": Peer([*python, "-c", ECHO], folder), "ticks": Peer([*python, "-c", TICKS], folder)}
    for name, code in MODELS.items():
        (folder / f"{name}.py").write_text(code)
        peer = found[name] = Peer([*python, str(RUNTIME)], folder)
        peer.send(frame("start", mode="predict", reference=f"{name}.py:predict", train=None, concurrency=None))
        peer.until(b'"type":"ready"')
    yield found
    for peer in found.values():
        peer.close()


def frame(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, **fields}).encode() + b"\n"


def microseconds_of_predictions(peer: Peer) -> float:
    request = frame("predict", id="p", input={}, context={}, ending="done")  # so that the echo looks like an answer
    began = time.perf_counter()
    for _ in range(PREDICTIONS):
        peer.send(request)
        peer.until(b"done")
    return (time.perf_counter() - began) / PREDICTIONS * 1e6


def microseconds_of_tokens(peer: Peer, request: bytes) -> float:
    began = time.perf_counter()
    peer.send(request)
    peer.until(b'"type":"done"')
    return (time.perf_counter() - began) / TOKENS * 1e6


def measure(found: dict[str, Peer], rounds: int) -> dict[tuple[str, str], list[float]]:
    """Side by side: each round asks all of them."""
    figures: dict[tuple[str, str], list[float]] = {}
    tokens = frame("predict", id="p", input={"to": TOKENS}, context={})
    for number in range(rounds + 1):
        for name in ("echo", *MODELS):
            figures.setdefault(("prediction", name), []).append(microseconds_of_predictions(found[name]))
        for name in ("ticks", *MODELS):
            request = str(TOKENS).encode() if name == "ticks" else tokens
            figures.setdefault(("token", name), []).append(microseconds_of_tokens(found[name], request))
        if number == 0:
            figures.clear()  # the first round warms up
    return figures


def show(figures: dict[tuple[str, str], list[float]]) -> None:
    table = Table("figure", "bare µs", "model", "µs", "over bare µs", "target µs", "times bare")
    for what, bare_name in (("prediction", "echo"), ("token", "ticks")):
        bare = statistics.median(figures[what, bare_name])
        for name in MODELS:
            took = statistics.median(figures[what, name])
            cells = (
                f"{bare:.1f}",
                name,
                f"{took:.1f}",
                f"{took - bare:.1f}",
                f"{TARGETS[what]:g}",
                f"{took / bare:.1f}",
            )
            table.add_row(what, *cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, peers(Path(folder)) as found:
        show(measure(found, rounds))


if __name__ == "__main__":
    main()
