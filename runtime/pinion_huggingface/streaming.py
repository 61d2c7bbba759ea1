"""Text of a running generate(), piece by piece, and its end before its time.

Which tokens are drawn is decided by generate() and the options it is given.
"""

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from cog import current_scope


class _Counting(TextIteratorStreamer):
    """Knows how many tokens came and when the first did."""

    tokens = 0
    first_at = 0.0

    def put(self, value: Any) -> None:
        if not self.next_tokens_are_prompt:
            self.tokens += value.numel()
            self.first_at = self.first_at or time.perf_counter()
        super().put(value)


class _Stop(StoppingCriteria):
    """Ends generate() at its next step once `is_asked` is set."""

    is_asked = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self.is_asked, device=input_ids.device)


def generate(
    model: Any, tokenizer: Any, inputs: Any, options: dict[str, Any], stops: Sequence[str] = ()
) -> Iterator[str]:
    """The text that follows `inputs`, without special tokens, up to the first of `stops`.

    Closing the iterator ends the work within one token. Metrics go to the running prediction.
    """
    began = time.perf_counter()
    # What generate() shows first is what it was given: the prompt, or the token that every decoder starts with.
    streamer = _Counting(tokenizer, skip_prompt=True, skip_special_tokens=True)
    with closing(_pieces(model, inputs, options, streamer)) as pieces:
        yield from until_stop(pieces, stops)
    _report(int(inputs["input_ids"].shape[1]), streamer, began)


def _pieces(model: Any, inputs: Any, options: dict[str, Any], streamer: _Counting) -> Generator[str, None, None]:
    """generate() blocks, so it runs beside us; whatever it raises is raised here."""
    stop, failures = _Stop(), []

    def work() -> None:
        try:
            with torch.inference_mode():
                model.generate(**inputs, **options, streamer=streamer, stopping_criteria=StoppingCriteriaList([stop]))
        except BaseException as error:
            failures.append(error)
            streamer.end()

    thread = threading.Thread(target=work, name="generate", daemon=True)
    thread.start()
    try:
        yield from filter(None, streamer)
    finally:
        stop.is_asked = True
        thread.join()
    if failures:
        raise failures[0]


def until_stop(pieces: Iterator[str], stops: Sequence[str]) -> Iterator[str]:
    """Pieces up to the first stop text, which may lie across several; what may become one is held back."""
    held = ""
    for piece in pieces:
        held += piece
        found = [held.index(stop) for stop in stops if stop in held]
        if found:
            held = held[: min(found)]
            break
        keep = max((_overlap(held, stop) for stop in stops), default=0)
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if stop.startswith(text[-size:])), 0)


def _report(input_tokens: int, streamer: _Counting, began: float) -> None:
    record = current_scope().record_metric
    record("input_token_count", input_tokens)
    record("output_token_count", streamer.tokens)
    if streamer.tokens:
        record("time_to_first_token", streamer.first_at - began)
        record("tokens_per_second", streamer.tokens / max(time.perf_counter() - began, 1e-9))
