"""A request and the sequences it is answered with: they know their own state.

Who is in the batch is decided by the engine.
"""

import random
import secrets
from collections.abc import Callable
from enum import StrEnum

from pinion_textgen.options import Options


class End(StrEnum):
    """Why a sequence ended."""

    STOP = "stop"  # the model said so
    LENGTH = "length"  # max_new_tokens
    CANCELED = "canceled"
    FAILED = "failed"  # the request's `error` says how


class Sequence:
    """One answer being written; in the batch it has a row."""

    def __init__(self, request: "Request", index: int, seed: int) -> None:
        self.request = request
        self.index = index
        self.tokens: list[int] = []
        """What was written so far, with the token that ended it."""
        self.newest = 0
        """The token the model has to read next: the last of `tokens`, at first what the model starts with."""
        self.end: End | None = None
        # Its own, so that the same seed draws the same whatever else runs.
        self.random = random.Random(f"{seed}/{index}")

    @property
    def options(self) -> Options:
        return self.request.options


Listener = Callable[[Sequence, int | None], None]
"""Hears each token of a sequence, and None once the sequence has its `end`."""


class Request:
    """`prompt` holds token ids, special tokens included, as the model's tokenizer makes them."""

    def __init__(self, prompt: list[int], options: Options, listener: Listener = lambda sequence, token: None) -> None:
        self.prompt = prompt
        self.options = options
        self.is_canceled = False
        self.error: Exception | None = None
        self._listener = listener
        seed = secrets.randbits(64) if options.seed is None else options.seed
        self.sequences = [Sequence(self, index, seed) for index in range(options.sequences)]

    @property
    def is_over(self) -> bool:
        return all(sequence.end for sequence in self.sequences)

    def take(self, sequence: Sequence, token: int, is_last_of_model: bool) -> None:
        """The next token of a sequence, which may be its end."""
        sequence.tokens.append(token)
        sequence.newest = token
        self._listener(sequence, token)
        if is_last_of_model:
            self.finish(sequence, End.STOP)
        elif len(sequence.tokens) >= self.options.max_new_tokens:
            self.finish(sequence, End.LENGTH)

    def finish(self, sequence: Sequence, end: End) -> None:
        if sequence.end is None:
            sequence.end = end
            self._listener(sequence, None)

    def finish_all(self, end: End, error: Exception | None = None) -> None:
        self.error = error
        for sequence in self.sequences:
            self.finish(sequence, end)
