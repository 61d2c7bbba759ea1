"""What it costs to bring tokens to clients: `python -m benchmarks.streaming [--rounds 5]`.

A FLAN-T5-small shape with random weights answers sixteen requests at a time, each by 64 tokens: in turns the engine
alone, in a process of its own, and a whole Pinion, whose clients ask by HTTP and follow event streams. They differ by
what the model's process, the worker, Redis, the database, the API and the clients take of the same cores. Runs on
DATABASE_URL and REDIS_URL if they are set.
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
from pathlib import Path
from urllib.parse import urlsplit

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.engine import Bench
from benchmarks.service import PORT, PROJECT, TOKEN, pinion
from benchmarks.shapes import made
from benchmarks.timing import pace
from benchmarks.wire import Client

NAME, REVISION = "benchmarks/t5", "0" * 40
ROWS, EACH, WRITTEN = 16, 3, 64
PROMPT = list(range(100, 156))


def put_into_cache(folder: Path) -> None:
    """As a download from the Hub would leave it."""
    place = folder / f"models--{NAME.replace('/', '--')}"
    snapshot = place / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(REVISION)
    made("t5", "cpu", torch.float32).save_pretrained(snapshot)
    words = Tokenizer(models.WordLevel({word(token): token for token in range(32_128)}, unk_token=word(2)))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    # no special tokens: they would be found within words, and be left out of the text
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(snapshot)


def word(token: int) -> str:
    return f"w{token}"


async def streamed(version: str) -> float:
    """Tokens a second that reach clients, of which each has one prediction after the other."""
    begin = time.perf_counter()
    await asyncio.gather(*(_client(version, EACH) for _ in range(ROWS)))
    return ROWS * EACH * WRITTEN / (time.perf_counter() - begin)


async def _client(version: str, count: int) -> None:
    asked = {"prompt": " ".join(map(word, PROMPT)), "max_new_tokens": WRITTEN}
    body = {"version": version, "input": asked, "stream": True}
    for _ in range(count):
        async with Client("127.0.0.1", PORT, TOKEN) as client:
            prediction = await client.request("POST", "/v1/predictions", body)
        heard = await _followed(urlsplit(prediction["urls"]["stream"]).path)
        assert heard == WRITTEN, f"{heard} tokens came"


async def _followed(path: str) -> int:
    """How many events of output came until the stream was over; little work, for clients usually are elsewhere."""
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n".encode())
    heard = b""
    while b"event: done\n" not in heard:
        heard += (more := await reader.read(1 << 16))
        assert more, "the stream broke"
    writer.close()
    return heard.count(b"event: output\n")


def engine_alone() -> float:
    """Tokens a second of the engine in a process that has nothing else to do."""
    command = [sys.executable, "-m", "benchmarks.streaming", "--alone"]
    return float(subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout)


def tell_engine() -> None:
    bench = Bench("t5")
    bench.prompts = [PROMPT] * ROWS * EACH
    bench.engine(ROWS, [WRITTEN] * ROWS)  # what happens only once
    begin = time.perf_counter()
    print(bench.engine(ROWS, [WRITTEN] * ROWS * EACH) / (time.perf_counter() - begin))


async def measure(rounds: int) -> list[tuple[float, float]]:
    async with Client("127.0.0.1", PORT, TOKEN) as client:
        version = (await client.request("GET", "/v1/models/pinion/t5"))["latest_version"]["id"]
    await streamed(version)  # the model is up then
    return [(await streamed(version), await asyncio.to_thread(engine_alone)) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--alone", action="store_true", help="only the engine, and only its figure")
    chosen = parser.parse_args()
    if chosen.alone:
        tell_engine()
        return
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        put_into_cache(Path(folder) / "hub")
        os.environ |= {"HF_HUB_CACHE": f"{folder}/hub", "HF_HUB_OFFLINE": "1"}
        with pinion(f"{folder}/home"):
            given = {**os.environ, "PINION_API_TOKEN": TOKEN, "PINION_PORT": str(PORT)}
            subprocess.run([PROJECT / "pinion", "push", f"hf:{NAME}", "pinion/t5"], env=given, check=True)
            pairs = asyncio.run(measure(chosen.rounds))
    to_clients, alone = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, {'Postgres' if os.environ.get('DATABASE_URL') else 'SQLite'}, ", end="")
    print(f"ten million additions take {pace():.2f} s\n")
    print("| figure | to clients | engine alone | ratio |\n|---|---:|---:|---:|")
    print(f"| tokens/s, {ROWS} in flight | {to_clients:.1f} | {alone:.1f} | {to_clients / alone:.2f} |")


if __name__ == "__main__":
    main()
