"""Has a batch write what a call asks for, and hears of it in the thread of the call.

So what a streamer raises or prints is that call's alone.
"""

from functools import partial
from queue import SimpleQueue

import torch

from pinion_generate.batch import Batch
from pinion_generate.openmp import give_back_threads
from pinion_generate.seeds import seed
from pinion_generate.wish import Wish
from pinion_runtime.control import Prediction
from pinion_textgen.request import Request, Sequence

_ENDED, _WAKE = -1, -2
"""Beside tokens: one of the sequences has ended; look whether the prediction is canceled."""


class Stopped(Exception):
    """The prediction is canceled, and nobody wants the answer any more."""


def written(batch: Batch, prediction: Prediction, wish: Wish) -> torch.Tensor:
    """What generate() would return. Raises Stopped, Refused, or what the model raised."""
    arrived: SimpleQueue[int] = SimpleQueue()

    def listen(_: Sequence, token: int | None) -> None:
        if token is None:
            arrived.put(_ENDED)
        elif wish.streamer is not None:
            arrived.put(token)

    requests = [Request(prompt, options, listen) for prompt, options in wish.requests(seed.get())]
    with prediction.woken_by(partial(arrived.put, _WAKE)):
        try:
            for request in requests:
                batch.submit(request)
            give_back_threads()  # whatever the prediction computed before, now the engine does
            _follow(arrived, prediction, requests, wish)
        finally:
            for request in requests:
                batch.cancel(request)
    return wish.result([sequence.tokens for request in requests for sequence in request.sequences])


def _follow(arrived: "SimpleQueue[int]", prediction: Prediction, requests: list[Request], wish: Wish) -> None:
    """To the end of all requests."""
    left, has_begun = sum(len(request.sequences) for request in requests), False
    while left and not prediction.is_cancel_requested:
        news = arrived.get()
        left -= news == _ENDED
        for request in requests:
            if request.error is not None:
                raise request.error
        if news >= 0:
            if not has_begun:
                wish.streamer.put(wish.shown.cpu())
                has_begun = True
            wish.streamer.put(torch.tensor([news]))
    if prediction.is_cancel_requested:
        raise Stopped
    if wish.streamer is not None:
        wish.streamer.end()
