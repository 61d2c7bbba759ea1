"""How long the first token takes when requests come at random, three times as fast as one at a time can answer.

    .venv/bin/python -m benchmarks.first_token --seconds 20

The FLAN-T5-small shape of `benchmarks.engine`, answers of 16 to 96 tokens. What one at a time can do is measured first,
in the same run; its own waiting times are worked out from that, since they grow for as long as one measures.
"""

import argparse
import time
from random import Random

import torch

from benchmarks.engine import Bench, Engine, Limits, Options, Request
from benchmarks.shapes import MODELS
from benchmarks.timing import milliseconds

ANSWERS = (16, 96)


class Waiting(Request):
    """Knows when it was due, and when its first token came."""

    def __init__(self, prompt: list[int], length: int, due: float) -> None:
        super().__init__(prompt, Options(length), self._hear)
        self.due, self.first_at = due, 0.0

    def _hear(self, _sequence: object, _token: int | None) -> None:
        self.first_at = self.first_at or time.perf_counter()


def answered_alone(bench: Bench, lengths: list[int]) -> float:
    """Seconds that one takes on average."""
    began = time.perf_counter()
    for prompt, length in zip(bench.prompts, lengths, strict=False):
        ids = torch.tensor([prompt])
        bench.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=length)
    return (time.perf_counter() - began) / len(lengths)


def answered_together(bench: Bench, rows: int, arrivals: list[tuple[float, int]]) -> list[float]:
    """Seconds from when each was due to its first token."""
    engine, began = Engine(bench.decoder, Limits(rows=rows)), time.perf_counter()
    coming = [
        Waiting(bench.prompts[number % len(bench.prompts)], length, began + after)
        for number, (after, length) in enumerate(arrivals)
    ]
    told = list(coming)
    while coming or engine.is_busy:
        while coming and coming[0].due <= time.perf_counter():
            engine.submit(coming.pop(0))
        if engine.is_busy:
            engine.step()
        else:
            time.sleep(max(0.0, coming[0].due - time.perf_counter()))
    return [request.first_at - request.due for request in told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="t5")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--times", type=float, default=3, help="of what one at a time can answer")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    bench, random = Bench(chosen.model), Random(5)
    alone = answered_alone(bench, [random.randint(*ANSWERS) for _ in range(8)])
    arrivals: list[tuple[float, int]] = []
    after = 0.0
    while after < chosen.seconds:
        arrivals.append((after, random.randint(*ANSWERS)))
        after += random.expovariate(chosen.times / alone)
    waited = answered_together(bench, chosen.rows, arrivals)
    behind = len(arrivals) * alone - chosen.seconds
    print(f"one at a time: {1 / alone:.2f} requests/s; {len(arrivals)} came in {chosen.seconds:g} s")
    print(f"first token of the engine: p50 {milliseconds(waited, 50):.0f} ms, p95 {milliseconds(waited, 95):.0f} ms")
    print(f"one at a time the last would wait {behind:.1f} s")


if __name__ == "__main__":
    main()
