"""Each step of a decoder: run anew, or replayed from a recording where there is a recorder.

On a CPU nothing is recorded: there, starting a kernel costs little, and rows that only fill up cost as much as others.
"""

from dataclasses import dataclass

from torch import Tensor

from pinion_textgen.decoder import Decoder
from pinion_textgen.recording import Recorder, Recordings
from pinion_textgen.sending import sent


@dataclass(frozen=True)
class Scored:
    """What a step found of the next token of each row."""

    scores: Tensor
    """(rows, vocabulary); valid until the next step."""
    likeliest: Tensor | None = None
    """(rows), the first of the best, where the step has looked for it itself."""


class Steps:
    """`recorder` None has all steps run anew."""

    def __init__(self, decoder: Decoder, recorder: Recorder | None = None) -> None:
        self._decoder = decoder
        self._recordings = Recordings(decoder, recorder) if recorder else None

    @property
    def are_recorded(self) -> bool:
        return self._recordings is not None

    def take(self, tokens: list[int]) -> Scored:
        """The next step of all rows, by the newest token of each."""
        given = self._decoder.advance(tokens)
        if self._recordings:
            if replayed := self._recordings.step(given):
                return Scored(*replayed)
            self._recordings = None
        return Scored(self._decoder.decode(sent(given, self._decoder.device), self._decoder.reach()))
