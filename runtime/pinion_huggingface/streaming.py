"""The text of an answer, piece by piece, and what there is to say about how it came about.

Which tokens come is decided by the writer and the options it is given.
"""

import os
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from cog import AsyncConcatenateIterator, current_scope
from pinion_textgen.batching import Batching
from pinion_textgen.decoders import CannotBatch, decoder_of
from pinion_textgen.engine import Engine
from pinion_textgen.one_by_one import OneByOne
from pinion_textgen.stops import Stops
from pinion_textgen.text import Text

Writer = Batching | OneByOne


def writer_of(model: Any) -> Writer:
    """Answers are written together if the model can do that; the log says why, if not."""
    try:
        return Batching(Engine(decoder_of(model)), _record, _leave)
    except CannotBatch as reason:
        print(f"Predictions run one at a time: {reason}.")
        return OneByOne(model)


def _record(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        current_scope().record_metric(f"engine.{name}", value)


def _leave(error: Exception) -> None:
    print(f"The device is lost, so this process ends and is started anew: {error}", file=sys.stderr, flush=True)
    os._exit(1)  # to clean up, libraries would ask the device


class Account:
    """Counts the tokens of an answer and their time, and records them as metrics of the running prediction."""

    def __init__(self, input_tokens: int) -> None:
        self._input_tokens = input_tokens
        self._began = time.perf_counter()
        self._first_at = 0.0
        self._tokens = 0

    def count(self) -> None:
        self._tokens += 1
        self._first_at = self._first_at or time.perf_counter()

    def record(self) -> None:
        record = current_scope().record_metric
        record("input_token_count", self._input_tokens)
        record("output_token_count", self._tokens)
        if self._tokens:
            record("time_to_first_token", self._first_at - self._began)
            record("tokens_per_second", self._tokens / max(time.perf_counter() - self._began, 1e-9))


async def written(
    tokens: AsyncGenerator[int], tokenizer: Any, input_tokens: int, stops: Sequence[str]
) -> AsyncConcatenateIterator[str]:
    """The text of what is written for a prompt of so many tokens, without special ones, up to the first of `stops`.

    Closing the iterator ends the work within one token. Metrics go to the running prediction.
    """
    account, text, until = Account(input_tokens), Text(tokenizer), Stops(stops)
    async with aclosing(tokens):
        async for token in tokens:
            account.count()
            if piece := until.passed(text.add(token)):
                yield piece
            if until.is_found:
                break
    if rest := until.passed(text.rest()) + until.rest():
        yield rest
    account.record()
