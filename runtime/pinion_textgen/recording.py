"""Steps of a decoder, recorded once for each shape and replayed from then on.

A replay starts a thousand kernels as one. It reads and writes where the recorded step did, so numbers are copied to
where they lay, and recordings are dropped when a cache has moved. How a step is recorded is the recorder's business.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pinion_textgen.decoder import Decoder, is_lost
from pinion_textgen.sending import sent, staged

Found = tuple[Tensor, Tensor]
"""Scores (rows, vocabulary), and the likeliest token of each row."""

_MOST = 64
"""Recordings that are kept: those of seven numbers of rows, at several lengths. Each holds its scores."""
_COMPARED = 2
"""The first replay, and the first of a recording that was replayed before: with other numbers than those recorded."""
_LENGTH = 64


class Recorder(Protocol):
    def record(self, step: Callable[[Tensor], Found], given: Tensor) -> Callable[[], Found]:
        """What runs the step again on what `given` holds by then, and returns it where it returned it before.

        The step may be run meanwhile, any number of times. Raises whatever the step or recording it raises.
        """

    def forget(self) -> None:
        """Nothing that was recorded will be replayed again."""


@dataclass(frozen=True)
class _Recording:
    given: Tensor
    replay: Callable[[], Found]


class _Differs(Exception):
    pass


class Recordings:
    """The rows that are not in use are decoded with the others, at their first position: no other row looks there."""

    def __init__(self, decoder: Decoder, recorder: Recorder) -> None:
        self._decoder, self._recorder = decoder, recorder
        self._kept: OrderedDict[tuple[int, ...], _Recording] = OrderedDict()
        self._moves = decoder.moves
        self._to_compare = _COMPARED

    def step(self, given: list[list[int]]) -> Found | None:
        """What `decode` is given, for the rows in use; None once recordings cannot be relied on, and never again then.

        Raises only if the device is lost.
        """
        rows = len(given[0])
        try:
            scores, likeliest = self._step(given)
        except Exception as error:  # whatever it is, the step can still be run as it is, and may fail for itself
            if is_lost(error):
                raise
            self._give_up(error)
            return None
        return scores[:rows], likeliest[:rows]

    def _step(self, given: list[list[int]]) -> Found:
        if self._moves != self._decoder.moves:
            self._forget()
        rows = len(given[0])
        more = (1 << (rows - 1).bit_length()) - rows
        filling = [0, 0, *(1 for _ in given[2:])]  # what a row was read from has one position at least
        filled = [numbers + [number] * more for numbers, number in zip(given, filling, strict=True)]
        reach = [
            min(_reach(max(lengths)), cache.length)
            for lengths, cache in zip(self._decoder.lengths, self._decoder.caches, strict=True)
        ]
        shape = rows + more, *reach
        is_again = shape in self._kept
        recording = self._recording(shape, filled)
        found = recording.replay()
        if self._to_compare == _COMPARED or (self._to_compare and is_again):
            self._compare(found, recording.given, reach, rows)
        return found

    def _recording(self, shape: tuple[int, ...], filled: list[list[int]]) -> _Recording:
        """Of so many rows and so far, and holds these numbers."""
        if recording := self._kept.get(shape):
            self._kept.move_to_end(shape)
            recording.given.copy_(staged(filled, self._decoder.device), non_blocking=True)
            return recording
        given = sent(filled, self._decoder.device)
        recording = _Recording(given, self._recorder.record(lambda given: self._found(given, shape[1:]), given))
        self._kept[shape] = recording
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return recording

    def _found(self, given: Tensor, reach: Sequence[int]) -> Found:
        scores = self._decoder.decode(given, reach)
        return scores, scores.argmax(dim=-1)

    def _compare(self, found: Found, given: Tensor, reach: list[int], rows: int) -> None:
        """Nothing but rounding may tell a replay from the step as it is, which is run here once more."""
        self._to_compare -= 1
        plain = self._decoder.decode(given, reach)[:rows].float()
        tolerance = torch.finfo(found[0].dtype).eps ** 0.5 * plain.abs().max()
        difference = (found[0][:rows].float() - plain).abs().max()
        is_likeliest = torch.equal(found[1][:rows], found[0][:rows].argmax(dim=-1))
        if not (bool(difference <= tolerance) and is_likeliest):
            raise _Differs(f"a replay differs by {float(difference):g} from the step it repeats")

    def _forget(self) -> None:
        self._kept.clear()
        self._moves = self._decoder.moves
        self._recorder.forget()

    def _give_up(self, error: Exception) -> None:
        self._forget()
        self._decoder.keeps_bytes = 0
        first: BaseException = error
        while first.__context__:  # what ends a failed recording fails, too
            first = first.__context__
        [reason, *_] = (str(first) or type(first).__name__).splitlines()
        print(f"Steps are not recorded from now on, and take longer: {reason}", flush=True)


def _reach(length: int) -> int:
    """At least so far, in few different numbers, and by no more than a quarter too far where it is long."""
    unit = max(_LENGTH, (1 << length.bit_length()) // 8)
    return -(-length // unit) * unit
