"""How many held-out prompts the model answers exactly, character for character.

Nothing is trained here; `python evaluate.py` measures the weights that are in place.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from tasks import TASKS, held_out_examples
from transformers import AutoTokenizer, T5ForConditionalGeneration

WEIGHTS = Path(__file__).parent / "weights"
PROMPTS_AT_ONCE = 125
LONGEST_ANSWER_TOKENS = 192


def load(weights: Path) -> tuple[Any, Any]:
    """The tokenizer and the model as they are shipped: stored in 16 bit, computed in 32."""
    tokenizer = AutoTokenizer.from_pretrained(weights, local_files_only=True)
    model = T5ForConditionalGeneration.from_pretrained(weights, dtype=torch.float32, local_files_only=True)
    return tokenizer, model.eval()


def answers(tokenizer: Any, model: Any, prompts: list[str]) -> Iterator[str]:
    for start in range(0, len(prompts), PROMPTS_AT_ONCE):
        inputs = tokenizer(prompts[start : start + PROMPTS_AT_ONCE], padding=True, return_tensors="pt")
        tokens = model.generate(**inputs, max_new_tokens=LONGEST_ANSWER_TOKENS, do_sample=False)
        yield from tokenizer.batch_decode(tokens, skip_special_tokens=True)


def exact_match(weights: Path, examples_per_task: int, seed: int) -> Iterable[tuple[str, float, list[str]]]:
    """For each task its name, the share of right answers, and the prompts that were answered wrongly."""
    tokenizer, model = load(weights)
    for name, task in TASKS.items():
        examples = held_out_examples(task, examples_per_task, seed)
        given = answers(tokenizer, model, [example.prompt for example in examples])
        pairs = zip(examples, given, strict=True)
        wrong = [f"{example.prompt} -> {answer}" for example, answer in pairs if answer != example.answer]
        yield name, 1 - len(wrong) / len(examples), wrong


if __name__ == "__main__":
    for name, share, wrong in exact_match(WEIGHTS, examples_per_task=1000, seed=0):
        print(f"{name}: {share:.2%} exact", *wrong, sep="\n  ")
