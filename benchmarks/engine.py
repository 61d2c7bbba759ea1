"""What batching brings: tokens a second of the engine, beside generate(), a bare decode loop and others, in one run.

    .venv/bin/python -m benchmarks.engine --model t5 --rounds 5

    PINION_CUDA_GRAPHS=1 .venv/bin/python -m benchmarks.engine --device cuda --dtype bfloat16 --model t5-xl

Random weights: the shapes of FLAN-T5-small and -XL, a Llama of 50 million parameters and one of 8 billion. Prompts are
read within the time that is measured; answers are never ended by the model. On a GPU the engine replays recorded steps
where that is asked for, and beside it runs one that does not. `--busy` is for machines that have other things to do.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from pinion_generate.openmp import give_back_threads
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter
from pinion_runtime.loading import Model
from pinion_runtime.serving_threads import ThreadServing
from pinion_textgen.admission import Limits
from pinion_textgen.cuda_recorder import recorder_for
from pinion_textgen.decoder import Decoder
from pinion_textgen.decoders import decoder_of
from pinion_textgen.engine import Engine
from pinion_textgen.options import Options
from pinion_textgen.request import Request, Sequence
from pinion_textgen.sending import sent
from pinion_textgen.steps import Steps

from benchmarks.rivals import CTranslate2, OwnBatching
from benchmarks.shapes import MODELS, copied_bytes_a_second, made, step_bytes
from benchmarks.timing import milliseconds

IN_FLIGHT = [16, 32, 64]
ALONE = 6
"""Requests that generate() answers one at a time in a round."""
WRITTEN = 64
PROMPTS = [16, 96]
"""Shortest and longest prompt, in tokens."""
MIXED = (8, 128)
"""Shortest and longest answer, in tokens, where lengths are mixed."""
KINDS = ["generate", "bare", "engine", "plain", "mixed", "rival", "untouched"]
SAMPLED = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 1}


class Bench:
    """The model, its requests, and each way of answering them; each returns how many tokens it wrote."""

    def __init__(
        self,
        name: str,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        prompts: list[int] = PROMPTS,
    ) -> None:
        self.model = made(name, device, dtype)
        self.device = device
        self.decoder = decoder_of(self.model)
        self.steps = Steps(self.decoder, recorder_for(self.decoder.device))
        # of its own, since one that records keeps its caches
        self._plain: Decoder | None = decoder_of(self.model) if self.steps.are_recorded else None
        random = Random(1)
        self.prompts = [[random.randrange(3, 32_000) for _ in range(random.randint(*prompts))] for _ in range(512)]
        self._translator: CTranslate2 | None = None
        self.answers: list[int] = []
        self.servings: dict[int, tuple[Control, ThreadServing]] = {}
        self.mixed = [random.randint(*MIXED) for _ in self.prompts]

    def alone(self) -> int:
        for prompt in self.prompts[:ALONE]:
            ids = torch.tensor([prompt], device=self.device)
            self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=WRITTEN)
        return ALONE * WRITTEN

    def static(self, rows: int, lengths: list[int]) -> int:
        """Batches in the order of arrival, each as long as its longest answer."""
        for start in range(0, len(lengths), rows):
            prompts, longest = self.prompts[start : start + rows], max(lengths[start : start + rows])
            width = max(map(len, prompts))
            filling = [width - len(prompt) for prompt in prompts]
            padded = [[0] * count + prompt for count, prompt in zip(filling, prompts, strict=True)]
            real = [[0] * count + [1] * (width - count) for count in filling]
            ids, mask = torch.tensor(padded, device=self.device), torch.tensor(real, device=self.device)
            self.model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=longest)
        return sum(lengths)

    def engine(self, rows: int, lengths: list[int], **options: Any) -> int:
        return self._written(Engine(self.decoder, Limits(rows=rows), self.steps), lengths, **options)

    def plain(self, decoder: Decoder, rows: int, lengths: list[int]) -> int:
        """The engine without recordings."""
        return self._written(Engine(decoder, Limits(rows=rows), Steps(decoder)), lengths)

    def _written(self, engine: Engine, lengths: list[int], **options: Any) -> int:
        for prompt, length in zip(self.prompts, lengths, strict=False):
            engine.submit(Request(prompt, Options(length, **options)))
        while engine.is_busy:
            engine.step()
        return sum(lengths)

    def first_tokens(self, rows: int) -> list[float]:
        """Seconds that each of so many who come at once waits for its first token."""
        engine, began = Engine(self.decoder, Limits(rows=rows), self.steps), time.perf_counter()
        waited: dict[Request, float] = {}

        def hear(sequence: Sequence, _token: object) -> None:
            waited.setdefault(sequence.request, time.perf_counter() - began)

        for prompt in self.prompts[:rows]:
            engine.submit(Request(prompt, Options(2), hear))
        while engine.is_busy:
            engine.step()
        return list(waited.values())

    def untouched(self, rows: int, count: int) -> int:
        """A predictor that calls generate(), run in threads as its model process does."""
        if rows not in self.servings:
            control, nobody = Control(), FrameWriter(os.open(os.devnull, os.O_WRONLY))
            self.servings[rows] = control, ThreadServing(Model(self.predict), control, nobody, rows)
        control, serving = self.servings[rows]
        for index in range(count):
            control.inbox.put(Prediction(f"p{index}", {"index": index}))
        control.inbox.put(None)
        self.answers.clear()
        give_back_threads()  # in a model process this thread computes nothing once the model is set up
        serving.serve()
        return sum(self.answers)

    def predict(self, index: int) -> list[int]:
        ids = torch.tensor([self.prompts[index]], device=self.device)
        named = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": WRITTEN}
        answer: list[int] = self.model.generate(ids, **named)[0].tolist()
        self.answers.append(WRITTEN)
        return answer

    @torch.inference_mode()
    def bare(self, rows: int) -> int:
        """Only what every token needs: the model's step and the likeliest token."""
        list(self.decoder.join([Request(prompt, Options(WRITTEN)) for prompt in self.prompts[:rows]], 1 << 20))
        tokens = torch.zeros(rows, dtype=torch.long, device=self.device)
        for _ in range(WRITTEN):
            given = sent(self.decoder.advance([0] * rows), self.decoder.device)
            given[0] = tokens  # which the host never sees
            tokens = self.decoder.decode(given, self.decoder.reach()).argmax(-1)
        tokens.tolist()  # it is done only then
        for row in reversed(range(rows)):
            self.decoder.leave(row)
        self.decoder.rest()
        return rows * WRITTEN

    def ways(self, in_flight: list[int], kinds: list[str]) -> dict[str, Callable[[], int]]:
        """Those whose names begin with one of the kinds."""
        ways: dict[str, Callable[[], int]] = {"generate, one at a time": self.alone}
        for rows in in_flight:
            rival = self._rival(rows) if "rival" in kinds else {}
            ways |= {name: way for name, way in self._ways(rows).items() if name.startswith(tuple(kinds))} | rival
        return ways

    def _ways(self, rows: int) -> dict[str, Callable[[], int]]:
        mixed = self.mixed[: 3 * rows]
        plain = partial(self.plain, self._plain, rows, [WRITTEN] * 2 * rows) if self._plain else None
        return {
            **({f"plain steps, {rows}": plain} if plain else {}),
            f"generate, static batch, {rows}": partial(self.static, rows, [WRITTEN] * rows),
            f"bare loop, {rows}": partial(self.bare, rows),
            f"engine, {rows}": partial(self.engine, rows, [WRITTEN] * 2 * rows),
            f"untouched predictor, {rows}": partial(self.untouched, rows, 2 * rows),
            f"engine, {rows}, sampled": partial(self.engine, rows, [WRITTEN] * 2 * rows, **SAMPLED),
            f"mixed lengths, {rows}, generate, static batch": partial(self.static, rows, mixed),
            f"mixed lengths, {rows}, engine": partial(self.engine, rows, mixed),
        }

    def _rival(self, rows: int) -> dict[str, Callable[[], int]]:
        if not self.model.config.is_encoder_decoder:
            own = OwnBatching(self.model)
            return {f"rival: generate_batch, {rows}": lambda: own.write(self.prompts[: 2 * rows], WRITTEN, rows)}
        if self.device != "cpu":
            return {}
        self._translator = self._translator or CTranslate2(self.model, torch.get_num_threads())
        translator = self._translator
        return {f"rival: CTranslate2, static, {rows}": lambda: translator.write(self.prompts[:rows], WRITTEN)}

    def limit(self, rows: int, bandwidth: float) -> float:
        """Tokens a second if a step took no longer than to read what it must."""
        read = sum(map(len, self.prompts[: 2 * rows])) / len(self.prompts[: 2 * rows])
        return rows * bandwidth / step_bytes(self.model, rows, read, WRITTEN / 2)


def measured(ways: dict[str, Callable[[], int]], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Tokens a second by the clock, every way once a round."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = clock()
            speeds[name].append(way() / (clock() - began))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="t5")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT)
    parser.add_argument("--prompt-tokens", type=int, nargs=2, default=PROMPTS, help="shortest and longest prompt")
    parser.add_argument("--kinds", nargs="+", default=KINDS, help="beginnings of the names of ways to measure")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--busy", action="store_true", help="count time of the processor alone, with one thread")
    chosen = parser.parse_args()
    torch.set_num_threads(1 if chosen.busy else chosen.threads)
    clock = time.process_time if chosen.busy else time.perf_counter
    bench = Bench(chosen.model, chosen.device, getattr(torch, chosen.dtype), chosen.prompt_tokens)
    for rows in chosen.in_flight if bench.steps.are_recorded else [4]:  # what happens only once
        bench.engine(rows, [WRITTEN if bench.steps.are_recorded else 8] * 2 * rows)
    speeds = measured(bench.ways(chosen.in_flight, chosen.kinds), chosen.rounds, clock)
    alone = statistics.median(speeds["generate, one at a time"])
    table = Table("way", "tokens/s", "least", "most", "times one at a time")
    for name, values in speeds.items():
        middle = statistics.median(values)
        table.add_row(name, f"{middle:.1f}", f"{min(values):.1f}", f"{max(values):.1f}", f"{middle / alone:.2f}")
    Console(width=120).print(table)
    if not chosen.busy:  # what memory gives is known by the clock alone
        tell_of_limits(bench, chosen.in_flight, speeds)
        tell_of_first_tokens(bench, [rows for rows in chosen.in_flight if f"engine, {rows}" in speeds], chosen.rounds)


def tell_of_limits(bench: Bench, in_flight: list[int], speeds: dict[str, list[float]]) -> None:
    bandwidth = copied_bytes_a_second(bench.device)
    print(f"{torch.cuda.get_device_name() if bench.device == 'cuda' else 'CPU'}: {bandwidth / 1e9:.0f} GB/s")
    for rows in in_flight:
        if values := speeds.get(f"engine, {rows}"):
            limit = bench.limit(rows, bandwidth)
            share = statistics.median(values) / limit
            print(f"{rows} in flight: memory allows {limit:.0f} tokens/s, of which the engine has {share:.0%}")


def tell_of_first_tokens(bench: Bench, in_flight: list[int], rounds: int) -> None:
    for rows in in_flight:
        waited = [seconds for _ in range(rounds) for seconds in bench.first_tokens(rows)]
        middle, late = milliseconds(waited, 50), milliseconds(waited, 95)
        print(f"{rows} at once: first token after {middle:.1f} ms (p50) and {late:.1f} ms (p95)")


if __name__ == "__main__":
    main()
