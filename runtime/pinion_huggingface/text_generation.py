"""Text that is written token by token: decoder-only models, with and without a chat template, and encoder-decoders.

Predictions share a batch where the model can do that; else they run one after the other.
"""

from dataclasses import replace
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from cog import AsyncConcatenateIterator, BasePredictor, Input, concurrent
from pinion_huggingface.choosing import (
    GREEDY,
    LIVELY,
    LONGEST,
    PENALTY,
    SEED,
    STOPS,
    TOP_K,
    TOP_P,
    options_of,
)
from pinion_huggingface.loading import load_model, load_tokenizer
from pinion_huggingface.streaming import writer_of, written
from pinion_textgen.one_by_one import OneByOne
from pinion_textgen.options import Options

_TOGETHER = 32
"""Predictions of a model at once. More would take them away from other hosts, and hardly be faster."""


class _Generating(BasePredictor):
    auto_class: Any = AutoModelForCausalLM

    def setup(self) -> None:  # type: ignore[override]
        self.tokenizer = load_tokenizer()
        self.model = load_model(self.auto_class)
        self.writer = writer_of(self.model)
        if isinstance(self.writer, OneByOne):  # others would wait in here, while another host might run them
            self.__cog_concurrent_max__ = 1

    def _written(self, prompt: list[int], options: Options, stops: list[str]) -> AsyncConcatenateIterator[str]:
        return written(self.writer.tokens(prompt, options), self.tokenizer, len(prompt), stops)

    def _continued(self, prompt: list[int], options: Options, stops: list[str]) -> AsyncConcatenateIterator[str]:
        length, limit = len(prompt), getattr(self.model.config, "max_position_embeddings", None)
        if length == 0:
            raise ValueError("The prompt is empty: there is nothing to continue.")
        if limit is not None:
            if length >= limit:
                raise ValueError(f"The prompt has {length} tokens; this model takes {limit - 1} at most.")
            options = replace(options, max_new_tokens=min(options.max_new_tokens, limit - length))
        return self._written(prompt, options, stops)


class SequenceToSequence(_Generating):
    """T5, BART and other encoder-decoders: the prompt is what is answered, translated or summed up."""

    auto_class = AutoModelForSeq2SeqLM

    @concurrent(max=_TOGETHER)
    def predict(
        self,
        prompt: str = Input(description="The text to work on."),
        max_new_tokens: int = LONGEST,
        temperature: float = GREEDY,
        top_p: float = TOP_P,
        top_k: int = TOP_K,
        repetition_penalty: float = PENALTY,
        stop_sequences: list[str] = STOPS,
        seed: int = SEED,
    ) -> AsyncConcatenateIterator[str]:
        options = options_of(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        return self._written(self.tokenizer(prompt)["input_ids"], options, stop_sequences)


class TextGeneration(_Generating):
    """Decoder-only models without a chat template: the prompt is continued."""

    @concurrent(max=_TOGETHER)
    def predict(
        self,
        prompt: str = Input(description="The text to continue."),
        max_new_tokens: int = LONGEST,
        temperature: float = LIVELY,
        top_p: float = TOP_P,
        top_k: int = TOP_K,
        repetition_penalty: float = PENALTY,
        stop_sequences: list[str] = STOPS,
        seed: int = SEED,
    ) -> AsyncConcatenateIterator[str]:
        options = options_of(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        return self._continued(self.tokenizer(prompt)["input_ids"], options, stop_sequences)


class Chat(_Generating):
    """Decoder-only models with a chat template: the prompt is answered."""

    @concurrent(max=_TOGETHER)
    def predict(
        self,
        prompt: str = Input(description="What the user says."),
        system_prompt: str = Input(description="How the model is to behave.", default=""),
        max_new_tokens: int = LONGEST,
        temperature: float = LIVELY,
        top_p: float = TOP_P,
        top_k: int = TOP_K,
        repetition_penalty: float = PENALTY,
        stop_sequences: list[str] = STOPS,
        seed: int = SEED,
    ) -> AsyncConcatenateIterator[str]:
        said = [("system", system_prompt), ("user", prompt)]
        messages = [{"role": role, "content": text} for role, text in said if text]
        inputs = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
        options = options_of(max_new_tokens, temperature, top_p, top_k, repetition_penalty, seed)
        return self._continued(inputs["input_ids"], options, stop_sequences)
