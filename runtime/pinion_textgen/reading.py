"""Prompts that are being read together, over as many steps as it takes.

Those who are read together are of like lengths, since all are filled up to the longest.
"""

from collections.abc import Generator, Iterable

import torch

from pinion_textgen.decoder import Decoder
from pinion_textgen.request import Request

# Another reading costs about as much as so many tokens more in one that is there: a GPU is hardly busy with few.
_WORTH_ANOTHER_ON_CPU, _WORTH_ANOTHER = 64, 2048


class Reading:
    def __init__(self, requests: list[Request], decoder: Decoder, at_once: int) -> None:
        self.requests = requests
        together = len(requests) * max(len(request.prompt) for request in requests)
        # several are there only because all of them are not too much for a step
        self._progress: Generator[None] = decoder.join(requests, at_once if len(requests) == 1 else together)

    def advance(self) -> bool:
        """Reads on; whether it has come to the end. Raises whatever the model raises."""
        return next(self._progress, self) is self

    def stop(self) -> None:
        """It is not wanted any more."""
        self._progress.close()


def alike(requests: Iterable[Request], device: torch.device) -> list[list[Request]]:
    """Groups of like lengths, the shortest first, so that little is read that is only there to fill up."""
    worth_another = _WORTH_ANOTHER_ON_CPU if device.type == "cpu" else _WORTH_ANOTHER
    groups: list[list[Request]] = []
    for request in sorted(requests, key=lambda each: len(each.prompt)):
        filling = sum(len(request.prompt) - len(each.prompt) for each in groups[-1]) if groups else 0
        if not groups or filling > worth_another:
            groups.append([])
        groups[-1].append(request)
    return groups
