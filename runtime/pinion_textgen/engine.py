"""Continuous batching: `submit` requests, `step` again and again, `cancel` at any time.

A step lets requests leave and join and writes one token of every sequence. It runs where it is called; nothing here
knows threads or event loops.
"""

from collections import deque

import torch

from pinion_textgen.admission import Admission, Limits
from pinion_textgen.cuda_recorder import recorder_for
from pinion_textgen.decoder import Decoder, is_lost
from pinion_textgen.reading import Reading, alike
from pinion_textgen.request import End, Request, Sequence
from pinion_textgen.sampler import Sampler
from pinion_textgen.steps import Steps
from pinion_textgen.work import Work


class Engine:
    """`steps` are those of the decoder: recorded on a GPU where that is asked for, unless others are given."""

    def __init__(self, decoder: Decoder, limits: Limits | None = None, steps: Steps | None = None) -> None:
        self._decoder = decoder
        self._steps = steps or Steps(decoder, recorder_for(decoder.device))
        self._sampler = Sampler(decoder.end_tokens, decoder.device)
        self._limits = limits or Limits()
        self._admission = Admission(decoder, self._limits)
        decoder.keeps_bytes = self._admission.bytes_most if self._steps.are_recorded else 0
        self._waiting: deque[Request] = deque()
        self._reading: deque[Reading] = deque()
        self._running: list[Sequence] = []  # in the order of the rows
        self._work = Work()

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._reading or self._running)

    @property
    def rows(self) -> int:
        """Sequences that are being written."""
        return len(self._running)

    @property
    def tokens(self) -> int:
        """Written so far."""
        return self._work.tokens

    def figures(self) -> dict[str, float]:
        """What it holds at the moment and has done so far, by names that may be shown."""
        return {
            "waiting": len(self._waiting) + len(self._being_read),
            "rows": self.rows,
            "rows_most": self._limits.rows,
            "cache_bytes": self._decoder.cache_bytes,
            "cache_bytes_most": self._admission.bytes_most,
            **self._work.figures(),
        }

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
        """Whatever a request's listener hears is heard within. A failing model ends the requests it was working on.

        What is raised nevertheless, as when the device is lost, makes the engine useless: `fail` ends what is left.
        """
        try:
            self._leave_canceled()
            self._admit()
            self._read()
            if self._running:
                self._write()
        except Exception as error:  # nobody knows what the rows hold now
            if is_lost(error):
                raise
            self._fail_running(error)

    def fail(self, error: Exception) -> None:
        """Ends all requests there are."""
        requests = {*self._waiting, *self._being_read, *(each.request for each in self._running)}
        for held in (self._waiting, self._reading, self._running):
            held.clear()
        for request in requests:
            request.finish_all(End.FAILED, error)

    @property
    def _being_read(self) -> list[Request]:
        return [request for reading in self._reading for request in reading.requests]

    def _leave_canceled(self) -> None:
        for request in {each.request for each in self._running if each.request.is_canceled}:
            request.finish_all(End.CANCELED)
        for request in [each for each in self._waiting if each.is_canceled]:
            self._waiting.remove(request)
            request.finish_all(End.CANCELED)
        for reading in list(self._reading):
            self._end_canceled(reading)
        self._leave_ended()

    def _end_canceled(self, reading: Reading) -> None:
        """What is read together with others is read to its end."""
        for request in reading.requests:
            if request.is_canceled:
                request.finish_all(End.CANCELED)
        if all(request.is_over for request in reading.requests):
            reading.stop()
            self._reading.remove(reading)

    def _admit(self) -> None:
        if self._reading:
            return  # nobody overtakes whoever is being read
        requests = self._admission.next_of(self._waiting, self._running)
        for _ in requests:
            self._waiting.popleft()
        at_once = self._limits.prompt_tokens_per_step
        self._reading.extend(Reading(group, self._decoder, at_once) for group in alike(requests, self._decoder.device))

    def _read(self) -> None:
        """As much as one step may; whoever was read to the end joins."""
        while self._reading:
            reading = self._reading[0]
            try:
                if not reading.advance():
                    return
            except Exception as error:  # memory, most likely: those who write go on
                if is_lost(error):
                    raise
                self._reading.popleft()
                for request in reading.requests:
                    request.finish_all(End.FAILED, error)
            else:
                self._reading.popleft()
                self._join(reading.requests)

    def _join(self, requests: list[Request]) -> None:
        joining = [sequence for request in requests for sequence in request.sequences]
        self._running += joining
        seen = [self._decoder.seen(sequence.request) for sequence in joining]
        for sequence, tokens in zip(joining, seen, strict=True):
            sequence.newest = tokens[-1]
        self._sampler.join(seen)
        self._leave_ended()  # canceled while they were read

    def _write(self) -> None:
        self._work.count(self.rows)
        found = self._steps.take([each.newest for each in self._running])
        chosen = self._sampler.choose(found.scores, self._running, found.likeliest)
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
        if not self.is_busy:
            self._decoder.rest()

    def _fail_running(self, error: Exception) -> None:
        for request in {each.request for each in self._running}:
            request.finish_all(End.FAILED, error)
        self._running.clear()
        self._decoder.clear()
        self._sampler.clear()
