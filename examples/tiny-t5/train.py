"""Trains the tiny T5 from nothing: its own vocabulary, seeded examples, a few minutes on two CPU cores.

What the examples are stands in tasks.py, how answers are judged in evaluate.py.
"""

import argparse
import io
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import sentencepiece
import torch
from evaluate import LONGEST_ANSWER_TOKENS, WEIGHTS, exact_match
from tasks import Example, training_example
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration, T5Tokenizer
from transformers.models.t5.modeling_t5 import T5DenseGatedActDense, T5LayerNorm

PAD, END, UNKNOWN = 0, 1, 2
IGNORED_LABEL = -100
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights. The length is in steps, not minutes: a slow machine only waits."""

    seed: int = 1
    steps: int = 5000
    tokens_per_batch: int = 1536
    peak_learning_rate: float = 3e-3
    warm_up_share: float = 0.03
    vocabulary_size: int = 256
    longest_piece: int = 8
    d_model: int = 128
    d_kv: int = 32
    d_ff: int = 320
    num_heads: int = 4
    num_layers: int = 3


def make_tokenizer(recipe: Recipe, weights: Path) -> Any:
    """Short pieces and single digits: numbers read digit by digit, and answers stream in many small steps."""
    rng = Random(recipe.seed)
    examples = [training_example(rng) for _ in range(20_000)]
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text for example in examples for text in (example.prompt, example.answer)),
        model_writer=file,
        model_type="unigram",
        vocab_size=recipe.vocabulary_size,
        hard_vocab_limit=False,
        max_sentencepiece_length=recipe.longest_piece,
        split_digits=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        pad_id=PAD,
        eos_id=END,
        unk_id=UNKNOWN,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    weights.mkdir(parents=True, exist_ok=True)
    (weights / "spiece.model").write_bytes(file.getvalue())
    pieces = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
    vocabulary = [(pieces.id_to_piece(number), pieces.get_score(number)) for number in range(len(pieces))]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0, clean_up_tokenization_spaces=False)
    tokenizer.save_pretrained(weights)
    return tokenizer


def make_model(recipe: Recipe, vocabulary_size: int) -> Any:
    config = T5Config(
        vocab_size=vocabulary_size,
        d_model=recipe.d_model,
        d_kv=recipe.d_kv,
        d_ff=recipe.d_ff,
        num_heads=recipe.num_heads,
        num_layers=recipe.num_layers,
        feed_forward_proj="gated-gelu",
        dropout_rate=0.0,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=PAD,
    )
    return T5ForConditionalGeneration(config)


def use_fused_kernels(model: nn.Module) -> None:
    """The same mathematics as T5's own norm and GELU in one kernel each: training takes about half the time."""
    for module in model.modules():
        if isinstance(module, T5LayerNorm):
            shape = module.weight.shape
            module.forward = partial(
                functional.rms_norm, normalized_shape=shape, weight=module.weight, eps=module.variance_epsilon
            )
        elif isinstance(module, T5DenseGatedActDense):
            module.act = nn.GELU(approximate="tanh")


def padded(rows: list[list[int]], filler: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def grouped(rows: list[tuple[list[int], list[int]]], budget: int) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Neighbours in length together, as many as fit: every batch costs about the same and little of it is padding."""
    batch: list[tuple[list[int], list[int]]] = []
    for row in sorted(rows, key=lambda row: len(row[1])):
        if batch and (len(row[0]) + len(row[1])) * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def batches(recipe: Recipe, tokenizer: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Prompts and labels without end."""
    rng = Random(recipe.seed + 1)
    while True:
        examples: list[Example] = [training_example(rng) for _ in range(2048)]
        prompts = tokenizer([example.prompt for example in examples]).input_ids
        labels = tokenizer([example.answer for example in examples]).input_ids
        groups = list(grouped(list(zip(prompts, labels, strict=True)), recipe.tokens_per_batch))
        rng.shuffle(groups)
        for group in groups:
            yield padded([prompt for prompt, _ in group], PAD), padded([label for _, label in group], IGNORED_LABEL)


def rate_at(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine down to almost nothing."""
    done = step / recipe.steps
    if done < recipe.warm_up_share:
        return recipe.peak_learning_rate * done / recipe.warm_up_share
    falling = (done - recipe.warm_up_share) / (1 - recipe.warm_up_share)
    return recipe.peak_learning_rate * max(0.5 * (1 + math.cos(math.pi * falling)), 0.002)


def make_optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for embeddings and norms: far fewer steps than AdamW alone."""
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_matrix = ".block." in name and parameter.ndim == 2 and "relative_attention_bias" not in name
        (matrices if is_matrix else others).append(parameter)
    return [
        torch.optim.Muon(matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    ]


def train(recipe: Recipe, model: Any, data: Iterator[tuple[Tensor, Tensor]]) -> float:
    """Returns the mean loss of the last hundred steps or so."""
    optimizers = make_optimizers(model)
    mean_loss, started = 0.0, time.monotonic()
    for step in range(1, recipe.steps + 1):
        prompts, labels = next(data)
        loss = model(input_ids=prompts, attention_mask=(prompts != PAD).long(), labels=labels).loss
        model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(recipe, step)
            optimizer.step()
        mean_loss += (loss.item() - mean_loss) / min(step, 100)
        if step % 200 == 0:
            print(f"step {step} loss {mean_loss:.5f} {step / (time.monotonic() - started):.2f} steps/s", flush=True)
    return mean_loss


def save(model: Any, weights: Path) -> None:
    """In 16 bit, which halves the file and costs no right answer."""
    model.generation_config = GenerationConfig(
        max_new_tokens=LONGEST_ANSWER_TOKENS, pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD
    )
    model.to(torch.float16).save_pretrained(weights)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="folder to write the model into")
    parser.add_argument("--report", type=Path, default=HERE / "report.json", help="file to write the results into")
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; more hardly help matrices this small")
    parser.add_argument("--examples", type=int, default=1000, help="held-out examples a task is judged by")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    recipe = Recipe(seed=chosen.seed, steps=chosen.steps)
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(recipe.seed)
    started = time.monotonic()
    tokenizer = make_tokenizer(recipe, chosen.weights)
    model = make_model(recipe, len(tokenizer))
    use_fused_kernels(model)
    loss = train(recipe, model, batches(recipe, tokenizer))
    seconds = time.monotonic() - started
    save(model, chosen.weights)
    results = list(exact_match(chosen.weights, chosen.examples, recipe.seed))
    report = {
        "recipe": asdict(recipe),
        "threads": chosen.threads,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "training_seconds": round(seconds),
        "final_loss": round(loss, 6),
        "weights_bytes": (chosen.weights / "model.safetensors").stat().st_size,
        "held_out_examples_per_task": chosen.examples,
        "exact_match": {name: round(share, 4) for name, share, _ in results},
        "wrong": {name: wrong for name, _, wrong in results if wrong},
    }
    chosen.report.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
