"""Who may join the batch: whoever came first, as far as rows and memory reach.

What a request may come to use is reserved when it joins, so nobody who has joined is ever without memory.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from pinion_textgen.decoder import Decoder
from pinion_textgen.request import Request, Sequence

# The rest is for weights, other models, and what a step computes with.
_OF_FREE_GPU, _OF_HOST = 0.8, 0.25


@dataclass(frozen=True)
class Limits:
    rows: int = 64
    """Sequences in the batch."""
    cache_bytes: int | None = None
    """What keys and values may take; None: most of the GPU's free memory, or a part of the host's."""
    prompt_tokens_per_step: int = 1024
    """How much of prompts is read before the others go on writing; a longer one takes several steps."""


class Admission:
    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        self._decoder = decoder
        self._limits = limits
        self.bytes_most = _free_bytes(decoder.device) if limits.cache_bytes is None else limits.cache_bytes

    def check(self, request: Request) -> None:
        """Raises ValueError for a request that could not even run alone."""
        rows = len(request.sequences)
        if rows > self._limits.rows:
            raise ValueError(f"{rows} sequences were asked for; at most {self._limits.rows} are written at once.")
        needed = self._decoder.bytes_of(rows, self._decoder.needs(request))
        if needed > self.bytes_most:
            raise ValueError(
                f"A prompt of {len(request.prompt)} tokens with max_new_tokens={request.options.max_new_tokens} needs "
                f"{_in_mib(needed)} MiB of cache; there are {_in_mib(self.bytes_most)}. Shorten one of them."
            )

    def next_of(self, waiting: Iterable[Request], running: list[Sequence]) -> list[Request]:
        """Those at the front who may join now. Nobody overtakes, so nobody waits for ever."""
        chosen: list[Request] = []
        rows, to_read = len(running), 0
        needs = [self._decoder.needs(request) for request in {each.request for each in running}]
        for request in waiting:
            rows += len(request.sequences)
            to_read += len(request.prompt)
            needs.append(self._decoder.needs(request))
            together = [max(of_cache) for of_cache in zip(*needs, strict=True)]
            if rows > self._limits.rows or self._decoder.bytes_of(rows, together) > self.bytes_most:
                break
            if chosen and to_read > self._limits.prompt_tokens_per_step:
                break
            chosen.append(request)
        return chosen


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * _OF_FREE_GPU)
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _OF_HOST)


def _in_mib(count: int) -> int:
    return count >> 20
