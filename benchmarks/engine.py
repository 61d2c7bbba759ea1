"""What batching brings: tokens a second of the engine, beside generate() and beside a bare decode loop, in one run.

    .venv/bin/python -m benchmarks.engine --model t5 --rounds 5

Random weights in float32: a FLAN-T5-small shape, or a Llama of 50 million parameters. Prompts of 16 to 96 tokens are
read within the time that is measured; answers are never ended by the model.
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
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter
from pinion_runtime.loading import Model
from pinion_runtime.serving_threads import ThreadServing
from pinion_textgen.admission import Limits
from pinion_textgen.decoders import decoder_of
from pinion_textgen.engine import Engine
from pinion_textgen.options import Options
from pinion_textgen.request import Request

IN_FLIGHT = [16, 32, 64]
ALONE = 6
"""Requests that generate() answers one at a time in a round."""
WRITTEN = 64
MIXED = (8, 128)
"""Shortest and longest answer, in tokens, where lengths are mixed."""
SAMPLED = {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 1}


def t5() -> Any:
    shape = {"d_model": 512, "d_kv": 64, "d_ff": 1024, "num_layers": 8, "num_decoder_layers": 8, "num_heads": 6}
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "tie_word_embeddings": False}
    config = T5Config(vocab_size=32_128, feed_forward_proj="gated-gelu", **shape, **special)
    return T5ForConditionalGeneration(config)


def llama() -> Any:
    shape = {"hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 8}
    config = LlamaConfig(vocab_size=32_000, num_key_value_heads=4, pad_token_id=0, **shape)
    return LlamaForCausalLM(config)


MODELS: dict[str, Callable[[], Any]] = {"t5": t5, "llama": llama}


class Bench:
    """The model, its requests, and each way of answering them; each returns how many tokens it wrote."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self.model = MODELS[name]().eval()
        self.model.generation_config.eos_token_id = None
        self.decoder = decoder_of(self.model)
        random = Random(1)
        self.prompts = [[random.randrange(3, 32_000) for _ in range(random.randint(16, 96))] for _ in range(256)]
        self.answers: list[int] = []
        self.servings: dict[int, tuple[Control, ThreadServing]] = {}
        self.mixed = [random.randint(*MIXED) for _ in self.prompts]

    def alone(self) -> int:
        for prompt in self.prompts[:ALONE]:
            ids = torch.tensor([prompt])
            self.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=WRITTEN)
        return ALONE * WRITTEN

    def static(self, rows: int, lengths: list[int]) -> int:
        """Batches in the order of arrival, each as long as its longest answer."""
        for start in range(0, len(lengths), rows):
            prompts, longest = self.prompts[start : start + rows], max(lengths[start : start + rows])
            width = max(map(len, prompts))
            ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
            mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
            self.model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=longest)
        return sum(lengths)

    def engine(self, rows: int, lengths: list[int], **options: Any) -> int:
        engine = Engine(self.decoder, Limits(rows=rows))
        for prompt, length in zip(self.prompts, lengths, strict=False):
            engine.submit(Request(prompt, Options(length, **options)))
        while engine.is_busy:
            engine.step()
        return sum(lengths)

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
        serving.serve()
        return sum(self.answers)

    def predict(self, index: int) -> list[int]:
        ids = torch.tensor([self.prompts[index]])
        named = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": WRITTEN}
        answer: list[int] = self.model.generate(ids, **named)[0].tolist()
        self.answers.append(WRITTEN)
        return answer

    @torch.inference_mode()
    def bare(self, rows: int) -> int:
        """Only what every token needs: the model's step and the likeliest token."""
        self.decoder.join([Request(prompt, Options(WRITTEN)) for prompt in self.prompts[:rows]])
        tokens = torch.zeros(rows, dtype=torch.long)
        for _ in range(WRITTEN):
            tokens = self.decoder.decode(tokens).argmax(-1)
        self.decoder.clear()
        return rows * WRITTEN

    def ways(self, in_flight: list[int]) -> dict[str, Callable[[], int]]:
        ways: dict[str, Callable[[], int]] = {"generate, one at a time": self.alone}
        for rows in in_flight:
            ways[f"generate, static batch, {rows}"] = partial(self.static, rows, [WRITTEN] * rows)
            ways[f"bare loop, {rows}"] = partial(self.bare, rows)
            ways[f"engine, {rows}"] = partial(self.engine, rows, [WRITTEN] * 2 * rows)
            ways[f"untouched predictor, {rows}"] = partial(self.untouched, rows, 2 * rows)
            ways[f"engine, {rows}, sampled"] = partial(self.engine, rows, [WRITTEN] * 2 * rows, **SAMPLED)
            mixed = self.mixed[: 3 * rows]
            ways[f"generate, static batch, {rows}, mixed lengths"] = partial(self.static, rows, mixed)
            ways[f"engine, {rows}, mixed lengths"] = partial(self.engine, rows, mixed)
        return ways


def measured(ways: dict[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Tokens a second, every way once a round."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            speeds[name].append(way() / (time.perf_counter() - began))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="t5")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in-flight", type=int, nargs="+", default=IN_FLIGHT)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    bench = Bench(chosen.model)
    bench.engine(4, [8] * 4)  # what happens only once
    speeds = measured(bench.ways(chosen.in_flight), chosen.rounds)
    alone = statistics.median(speeds["generate, one at a time"])
    table = Table("way", "tokens/s", "least", "most", "times one at a time")
    for name, values in speeds.items():
        middle = statistics.median(values)
        table.add_row(name, f"{middle:.1f}", f"{min(values):.1f}", f"{max(values):.1f}", f"{middle / alone:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
