"""Continuous batching: `submit` requests, `step` again and again, `cancel` at any time.

A step lets requests leave and join and writes one token of every sequence. It runs where it is called; nothing here
knows threads or event loops.
"""

from collections import deque

import torch

from pinion_textgen.admission import Admission, Limits
from pinion_textgen.decoder import Decoder
from pinion_textgen.request import End, Request, Sequence
from pinion_textgen.sampler import Sampler


class Engine:
    def __init__(self, decoder: Decoder, limits: Limits | None = None) -> None:
        self._decoder = decoder
        self._sampler = Sampler(decoder.vocabulary, decoder.end_tokens, decoder.device)
        self._admission = Admission(decoder, limits or Limits())
        self._waiting: deque[Request] = deque()
        self._running: list[Sequence] = []  # in the order of the rows

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._running)

    @property
    def rows(self) -> int:
        """Sequences that are being written."""
        return len(self._running)

    def submit(self, request: Request) -> None:
        """It will be answered in its turn. Raises ValueError if it never could be."""
        if not request.prompt:
            raise ValueError("The prompt is empty.")
        unknown = [token for token in request.prompt if not 0 <= token < self._decoder.vocabulary]
        if unknown:
            raise ValueError(f"The model has {self._decoder.vocabulary} tokens; {unknown[0]} is none of them.")
        self._decoder.check(request)
        self._admission.check(request)
        self._waiting.append(request)

    def cancel(self, request: Request) -> None:
        """Its rows are free at the next step; what was written stays. A request that is over stays as it is."""
        request.is_canceled = True

    @torch.inference_mode()
    def step(self) -> None:
        """Whatever a request's listener hears is heard within. A failing model ends the requests it was working on."""
        try:
            self._leave_canceled()
            self._join()
            if self._running:
                self._write()
        except Exception as error:  # nobody knows what the rows hold now
            self._fail_running(error)

    def fail(self, error: Exception) -> None:
        """Ends all requests there are."""
        waiting = list(self._waiting)
        self._waiting.clear()
        for request in {*waiting, *(each.request for each in self._running)}:
            request.finish_all(End.FAILED, error)
        self._running.clear()

    def _leave_canceled(self) -> None:
        for request in {each.request for each in self._running if each.request.is_canceled}:
            request.finish_all(End.CANCELED)
        for request in [each for each in self._waiting if each.is_canceled]:
            self._waiting.remove(request)
            request.finish_all(End.CANCELED)
        self._leave_ended()

    def _join(self) -> None:
        requests = self._admission.next_of(self._waiting, self._running)
        if not requests:
            return
        for _ in requests:
            self._waiting.popleft()
        try:
            self._decoder.join(requests)
        except Exception as error:  # memory, most likely: those who write go on
            for request in requests:
                request.finish_all(End.FAILED, error)
            return
        for request in requests:
            seen = self._decoder.seen(request)
            for sequence in request.sequences:
                sequence.newest = seen[-1]
            self._running += request.sequences
            self._sampler.join([seen] * len(request.sequences))

    def _write(self) -> None:
        newest = torch.tensor([each.newest for each in self._running], device=self._decoder.device)
        chosen = self._sampler.choose(self._decoder.decode(newest), self._running)
        for sequence, token in zip(self._running, chosen, strict=True):
            sequence.request.take(sequence, token, token in self._decoder.end_tokens)
        self._leave_ended()

    def _leave_ended(self) -> None:
        for row in reversed(range(len(self._running))):
            if self._running[row].end:
                self._decoder.leave(row)
                self._sampler.leave(row)
                self._running[row] = self._running[-1]
                self._running.pop()
        if not self._running:
            self._decoder.clear()

    def _fail_running(self, error: Exception) -> None:
        for request in {each.request for each in self._running}:
            request.finish_all(End.FAILED, error)
        self._running.clear()
        self._decoder.clear()
        self._sampler.clear()
