"""Text that is written token by token: decoder-only models, with and without a chat template, and encoder-decoders.

One prediction at a time, through generate().
"""

import secrets
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from cog import BasePredictor, ConcatenateIterator, Input
from pinion_huggingface.loading import load_model, load_tokenizer
from pinion_huggingface.streaming import generate

_LONGEST = Input(description="Longest answer, in tokens.", default=256, ge=1, le=32_768)
_GREEDY = Input(description="0 always takes the likeliest token; higher takes more chances.", default=0.0, ge=0, le=5)
_LIVELY = Input(description="0 always takes the likeliest token; higher takes more chances.", default=0.7, ge=0, le=5)
_TOP_P = Input(description="Sample among the likeliest tokens of this probability.", default=1.0, ge=0.01, le=1)
_TOP_K = Input(description="Sample among this many likeliest tokens; 0 means all.", default=0, ge=0)
_PENALTY = Input(description="Above 1 discourages what was already written.", default=1.0, ge=0.01, le=5)
_STOPS = Input(description="Texts that end the answer and are left out of it.", default=[])
_SEED = Input(description="Makes sampling repeatable; left out, one is chosen and logged.", default=None)


class _Generating(BasePredictor):
    auto_class: Any = AutoModelForCausalLM

    def setup(self) -> None:  # type: ignore[override]
        self.tokenizer = load_tokenizer()
        self.model = load_model(self.auto_class)

    def _written(self, inputs: Any, options: dict[str, Any], stops: list[str]) -> Iterator[str]:
        on_device = {name: inputs[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        return generate(self.model, self.tokenizer, on_device, options, [stop for stop in stops if stop])

    def _continued(self, inputs: Any, options: dict[str, Any], stops: list[str]) -> Iterator[str]:
        length, limit = inputs["input_ids"].shape[1], getattr(self.model.config, "max_position_embeddings", None)
        if length == 0:
            raise ValueError("The prompt is empty: there is nothing to continue.")
        if limit is not None:
            if length >= limit:
                raise ValueError(f"The prompt has {length} tokens; this model takes {limit - 1} at most.")
            options["max_new_tokens"] = min(options["max_new_tokens"], limit - length)
        return self._written(inputs, options, stops)


class SequenceToSequence(_Generating):
    """T5, BART and other encoder-decoders: the prompt is what is answered, translated or summed up."""

    auto_class = AutoModelForSeq2SeqLM

    def predict(
        self,
        prompt: str = Input(description="The text to work on."),
        max_new_tokens: int = _LONGEST,
        temperature: float = _GREEDY,
        top_p: float = _TOP_P,
        top_k: int = _TOP_K,
        repetition_penalty: float = _PENALTY,
        stop_sequences: list[str] = _STOPS,
        seed: int = _SEED,
    ) -> ConcatenateIterator[str]:
        options = _options(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        yield from self._written(self.tokenizer(prompt, return_tensors="pt"), options, stop_sequences)


class TextGeneration(_Generating):
    """Decoder-only models without a chat template: the prompt is continued."""

    def predict(
        self,
        prompt: str = Input(description="The text to continue."),
        max_new_tokens: int = _LONGEST,
        temperature: float = _LIVELY,
        top_p: float = _TOP_P,
        top_k: int = _TOP_K,
        repetition_penalty: float = _PENALTY,
        stop_sequences: list[str] = _STOPS,
        seed: int = _SEED,
    ) -> ConcatenateIterator[str]:
        options = _options(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        yield from self._continued(self.tokenizer(prompt, return_tensors="pt"), options, stop_sequences)


class Chat(_Generating):
    """Decoder-only models with a chat template: the prompt is answered."""

    def predict(
        self,
        prompt: str = Input(description="What the user says."),
        system_prompt: str = Input(description="How the model is to behave.", default=""),
        max_new_tokens: int = _LONGEST,
        temperature: float = _LIVELY,
        top_p: float = _TOP_P,
        top_k: int = _TOP_K,
        repetition_penalty: float = _PENALTY,
        stop_sequences: list[str] = _STOPS,
        seed: int = _SEED,
    ) -> ConcatenateIterator[str]:
        said = [("system", system_prompt), ("user", prompt)]
        messages = [{"role": role, "content": text} for role, text in said if text]
        inputs = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        options = _options(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        yield from self._continued(inputs, options, stop_sequences)


def _options(
    max_new_tokens: int, temperature: float, top_p: float, top_k: int, repetition_penalty: float, seed: int | None
) -> dict[str, Any]:
    """Keywords of generate(); sampling draws from torch's own generator, seeded here."""
    options: dict[str, Any] = {"max_new_tokens": max_new_tokens, "repetition_penalty": repetition_penalty}
    if temperature == 0:
        return {**options, "do_sample": False}
    seed = secrets.randbits(32) if seed is None else seed
    torch.manual_seed(seed)
    print(f"Using seed: {seed}")
    return {**options, "do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": top_k}
