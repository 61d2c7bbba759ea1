"""Other ways to answer many requests with the same weights: CTranslate2, and Transformers' own continuous batching.

CTranslate2 is in the extra `bench`; its batches are static, since nobody can join one that is under way.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models
from transformers import ContinuousBatchingConfig, GenerationConfig, PreTrainedTokenizerFast

Prompts = Sequence[list[int]]


class CTranslate2:
    """A T5 in float32; answers are as long as is asked."""

    def __init__(self, model: Any, threads: int) -> None:
        import ctranslate2

        self._words = [f"t{number}" for number in range(model.config.vocab_size)]
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "source", Path(folder) / "target"
            model.save_pretrained(source)
            _tokenizer(self._words).save_pretrained(source)
            ctranslate2.converters.TransformersConverter(str(source)).convert(str(target))
            self._translator = ctranslate2.Translator(
                str(target), device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads
            )

    def write(self, prompts: Prompts, count: int) -> int:
        """All at once; returns how many tokens were written."""
        texts = [[self._words[token] for token in prompt] for prompt in prompts]
        lengths = {"max_decoding_length": count, "min_decoding_length": count}
        answers = self._translator.translate_batch(texts, beam_size=1, max_input_length=0, **lengths)
        return sum(len(answer.hypotheses[0]) for answer in answers)


class OwnBatching:
    """`generate_batch` of a decoder-only model, with as many rows and as much memory as it needs."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def write(self, prompts: Prompts, count: int, rows: int) -> int:
        room = ContinuousBatchingConfig(num_blocks=8 * rows, max_requests_per_batch=rows)
        wanted = GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=-1, pad_token_id=0)
        answers = self._model.generate_batch(
            list(prompts), generation_config=wanted, continuous_batching_config=room, warmup=False
        )
        return sum(len(answer.generated_tokens) for answer in answers.values())


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """What CTranslate2's converter asks for; texts never pass through it."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[2]))
    special = {"pad_token": words[0], "eos_token": words[1], "unk_token": words[2]}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)
