"""Records steps as CUDA graphs.

It has not run on a GPU yet, so it has to be asked for. What a recording must not do, and all that is done with one, is
tested on a CPU with another recorder.
"""

import os
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from pinion_textgen.recording import Found, Recorder

_SWITCH = "PINION_CUDA_GRAPHS"
_WARM_UPS = 2
"""What libraries do only once is done in these, so that it is not recorded: they choose kernels and get memory."""


class _Graph(Protocol):
    def replay(self) -> None: ...


def recorder_for(device: torch.device) -> Recorder | None:
    """None where steps are not recorded."""
    if device.type != "cuda" or os.environ.get(_SWITCH) != "1":
        return None
    return CudaRecorder(device)


class CudaRecorder:
    """Its recordings share their memory, so what one returns is valid until the next is replayed."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, step: Callable[[Tensor], Found], given: Tensor) -> Callable[[], Found]:
        self._warm_up(step, given)
        graph = torch.cuda.CUDAGraph()
        # on the stream that was warmed up, since libraries keep memory for each; other threads may go on meanwhile
        captured = torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local")
        # a capture that fails leaves its stream in force, which the outer of the two takes back
        with torch.cuda.stream(self._stream), captured:
            found = step(given)
        return _replaying(graph, found)

    def forget(self) -> None:
        # a pool that no graph uses any more must not be used again
        self._pool = torch.cuda.graph_pool_handle()

    def _warm_up(self, step: Callable[[Tensor], Found], given: Tensor) -> None:
        usual = torch.cuda.current_stream(given.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS):
                step(given)
        usual.wait_stream(self._stream)


def _replaying(graph: _Graph, found: Found) -> Callable[[], Found]:
    def replay() -> Found:
        graph.replay()
        return found

    return replay
