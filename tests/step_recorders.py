"""Recorders for tests. On a GPU they record CUDA graphs; on a CPU they trace, which forbids what a capture forbids.

Nothing is asserted about the product.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import _disable_current_modes

from tests.text_models import DEVICE  # first: it finds the runtime

from pinion_textgen.cuda_recorder import CudaRecorder  # isort: skip
from pinion_textgen.recording import Found, Recorder  # isort: skip

Step = Callable[[Tensor], Found]
Replay = Callable[[], Found]


class Tracing:
    """Replays the operations of a step on the tensors it was traced with.

    Tracing raises where the host reads a value; what the host has put in is refused, as a capture refuses it. As with
    CUDA graphs of one pool, only what was replayed last is there to be read, and nothing before the first replay.
    """

    def __init__(self) -> None:
        self._results: list[Found] = []

    def record(self, step: Step, given: Tensor) -> Replay:
        graph = make_fx(lambda given: step(given))(given)
        names = {str(node.target) for node in graph.graph.nodes}
        if any("lift_fresh" in name or "scalar_dense" in name for name in names):
            raise RuntimeError("the host takes part in the step")
        result = tuple(torch.empty_like(each) for each in step(given))
        self._results.append(result)
        self._spoil()
        recorded = self._results

        def replay() -> Found:
            assert recorded is self._results, "it is void"
            with _disable_current_modes():  # as whoever watches what torch does sees nothing of a CUDA graph
                self._spoil()
                for place, found in zip(result, graph(given), strict=True):
                    place.copy_(found)
            return result

        return replay

    def forget(self) -> None:
        self._spoil()
        self._results = []

    def _spoil(self) -> None:
        for scores, likeliest in self._results:
            scores.fill_(torch.nan)
            likeliest.fill_(-1)


class Counting:
    """Knows what was recorded and how often anything was replayed."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.rows: list[int] = []
        """Of each recording."""
        self.replays = self.forgets = 0

    def record(self, step: Step, given: Tensor) -> Replay:
        replay = self._recorder.record(step, given)
        self.rows.append(given.shape[1])

        def counted() -> Found:
            self.replays += 1
            return replay()

        return counted

    def forget(self) -> None:
        self.forgets += 1
        self._recorder.forget()


def recorder() -> Recorder:
    return Tracing() if DEVICE.type == "cpu" else CudaRecorder(DEVICE)
