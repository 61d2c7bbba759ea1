"""What the engine wants of a model: one decoding step for rows that are at different places.

The host's part of a step is `advance`, the device's `decode`, which can be recorded and replayed. Each kind of model
has a module of its own: `t5`, `causal`.
"""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from pinion_textgen.cache import Cache
from pinion_textgen.request import Request
from pinion_textgen.sending import sent

# Attention reads in steps of as many positions, so that kernels meet few different shapes.
_READ = 16


class Decoder(ABC):
    """A loaded model and the rows of its batch, which are the first ones, without holes.

    `caches` says where what the rows have read lies, the first what a step adds to; `lengths` how much of each cache a
    row uses by now.
    """

    keeps_bytes = 0
    """Up to so many the caches keep what they once took, and take at once what a request may come to use. What is
    recorded of a step is void once they are moved; but others may want the memory."""

    def __init__(self, model: Any, caches: list[Cache]) -> None:
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self.vocabulary: int = model.config.vocab_size
        end = model.generation_config.eos_token_id
        self.end_tokens = frozenset([end] if isinstance(end, int) else end or ())
        self.caches = caches
        self.lengths: list[list[int]] = [[] for _ in caches]

    @property
    def rows(self) -> int:
        return len(self.lengths[0])

    @abstractmethod
    def check(self, request: Request) -> None:
        """Raises ValueError if the model cannot read the prompt or write as much as is asked."""

    @abstractmethod
    def needs(self, request: Request) -> tuple[int, ...]:
        """The positions a row of the request may come to use in each cache."""

    @abstractmethod
    def seen(self, request: Request) -> list[int]:
        """The tokens before the answer that a repetition penalty counts, the last of which is the first to decode."""

    @abstractmethod
    def join(self, requests: list[Request], at_once: int) -> Generator[None]:
        """Reads prompts together, about so many tokens between two yields; others may be decoded meanwhile.

        At its end each has as many rows as it has sequences. On an error, or if it is closed before, none has joined.
        """

    @abstractmethod
    def decode(self, given: Tensor, reach: Sequence[int]) -> Tensor:
        """The device's part of a step: reads the newest token of every row, and returns the scores of the next,
        (rows, vocabulary).

        `given` is (1 + caches, rows): the token of each row, and how much of each cache the row used before; `reach` is
        how far attention looks in each cache. The host reads no value of it, and nothing is changed but one position
        of each row in the first cache. There may be more rows than are in use, as far as the caches have room.
        """

    def advance(self, tokens: list[int]) -> list[list[int]]:
        """The host's part of a step, by the newest token of every row: what `decode` is to be given."""
        given = [tokens, *map(list, self.lengths)]
        self.lengths[0][:] = [length + 1 for length in self.lengths[0]]
        self.reserve(self.rows, [max(lengths) for lengths in self.lengths])
        return given

    def reach(self) -> list[int]:
        """How far attention has to look in each cache, at least to the longest row."""
        return [-(-max(lengths) // _READ) * _READ for lengths in self.lengths]

    def reserve(self, rows: int, lengths: Sequence[int]) -> None:
        """Room for so many rows, and for so much of each cache."""
        caches = list(zip(self.caches, lengths, strict=True))
        if all(cache.has_room(rows, length) for cache, length in caches):
            return
        kept = [(max(rows, cache.rows), max(length, cache.length)) for cache, length in caches]
        if sum(cache.bytes_of(*room) for cache, room in zip(self.caches, kept, strict=True)) <= self.keeps_bytes:
            for cache, room in zip(self.caches, kept, strict=True):
                cache.fit(*room)
        else:
            for cache, length in caches:
                # what is moved anyway gives back what it kept
                (cache.fit if self.keeps_bytes else cache.reserve)(rows, length)

    def make_room(self, requests: list[Request], joining: list[list[int]]) -> None:
        """For the rows of those who join, by how much of each cache they use to begin with."""
        longest = [max(1, *here, *new) for here, new in zip(self.lengths, joining, strict=True)]
        if self.keeps_bytes:
            needs = zip(*map(self.needs, requests), strict=True)
            longest = [max(length, *of_cache) for length, of_cache in zip(longest, needs, strict=True)]
        self.reserve(self.rows + len(joining[0]), longest)

    def leave(self, row: int) -> None:
        """The last row takes its place."""
        last = self.rows - 1
        for cache, lengths in zip(self.caches, self.lengths, strict=True):
            if row != last:
                cache.move(last, row)
                lengths[row] = lengths[last]
            lengths.pop()

    def clear(self) -> None:
        """All rows leave, and the memory is given back."""
        for cache, lengths in zip(self.caches, self.lengths, strict=True):
            cache.clear()
            lengths.clear()

    def rest(self) -> None:
        """There is nobody for the moment: memory is given back unless it is kept."""
        if not self.keeps_bytes:
            self.clear()

    def bytes_of(self, rows: int, needs: Iterable[int]) -> int:
        return sum(cache.bytes_of(rows, length) for cache, length in zip(self.caches, needs, strict=True))

    @property
    def cache_bytes(self) -> int:
        """What keys and values take at the moment."""
        return sum(cache.nbytes for cache in self.caches)

    @property
    def moves(self) -> int:
        """How often one of its caches was moved."""
        return sum(cache.moves for cache in self.caches)


def is_lost(error: Exception) -> bool:
    """Whether the device cannot be used any more, by nobody in this process.

    Lack of memory is no such thing, nor is what cannot be recorded: "operation not permitted when stream is capturing".
    """
    is_of_device = isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)
    return is_of_device and "captur" not in str(error)


def masked_beyond(lengths: Tensor, read_length: int, dtype: torch.dtype) -> Tensor:
    """What to add to attention scores so that each row reads so much only, (rows, 1, 1, read length)."""
    is_beyond = torch.arange(read_length, device=lengths.device) >= lengths[:, None]
    mask = torch.zeros(is_beyond.shape, dtype=dtype, device=lengths.device)
    return mask.masked_fill_(is_beyond, torch.finfo(dtype).min)[:, None, None]


def padded(prompts: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids (prompts, longest), filled up at the right, and how many of each are real."""
    longest = max(map(len, prompts))
    ids = sent([prompt + [0] * (longest - len(prompt)) for prompt in prompts], device)
    return ids, sent([len(prompt) for prompt in prompts], device)


def of_sequences(requests: list[Request], device: torch.device) -> Tensor:
    """The index of its request for each sequence."""
    return sent([index for index, request in enumerate(requests) for _ in request.sequences], device)
