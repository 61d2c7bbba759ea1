"""Answers the calls of one model's generate(): in its batch what the engine covers, all else one at a time.

The results are those of generate() itself, but for what is drawn by chance.
"""

from collections.abc import Callable
from contextlib import nullcontext, suppress
from inspect import BoundArguments
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from pinion_generate.batch import Batch, Refused
from pinion_generate.seeds import seed
from pinion_generate.turns import GivenUp, Turns
from pinion_generate.wish import NotCovered, Wish, wish_of
from pinion_generate.written import Stopped, written
from pinion_runtime.control import Prediction
from pinion_textgen.decoder import Decoder
from pinion_textgen.decoders import CannotBatch, decoder_of
from pinion_textgen.engine import Engine

_REASONS = 20
"""As many are told; they may hold numbers, and so go on for ever."""


class Desk:
    """`generate` is the model's own, unbound; `say` writes a line to the log of the process."""

    def __init__(self, model: Any, generate: Callable[..., Any], say: Callable[[str], None]) -> None:
        self._name = type(model).__name__
        self._generate = generate
        self._say = say
        self._turns = Turns()
        self._told: set[str] = set()
        self._decoder: Decoder | None = None
        try:
            if any(type(module).__module__.startswith("peft.") for module in model.modules()):
                raise CannotBatch("it has adapters, which may be changed at any time")
            self._decoder = decoder_of(model)
            self._batch = Batch(Engine(self._decoder), self._turns)
        except Exception as reason:  # whatever it is, generate() itself can still be asked
            self._tell(str(reason))

    def __reduce__(self) -> Any:
        """A copy of the model gets a desk of its own."""
        return type(None), ()

    def answer(self, prediction: Prediction, call: BoundArguments) -> Any:
        """Raises Stopped soon after the prediction is canceled, and whatever generate() raises."""
        streamer = call.arguments.get("streamer")
        try:
            if self._decoder is not None:
                try:
                    return written(self._batch, prediction, self._wish(self._decoder, call))
                except (NotCovered, Refused) as reason:
                    self._tell(f"a call asks for {reason}" if isinstance(reason, NotCovered) else str(reason))
            return self._alone(prediction, call)
        except Stopped:
            if streamer is not None:
                with suppress(Exception):
                    streamer.end()  # somebody may be waiting for it
            raise

    def _wish(self, decoder: Decoder, call: BoundArguments) -> Wish:
        model = call.arguments["self"]
        if (model.device, model.dtype) != (decoder.device, decoder.dtype):
            raise NotCovered("a model that was moved")
        try:
            wish = wish_of(model, call)
        except NotCovered:
            raise
        except Exception as error:  # generate() says it in its own words
            raise NotCovered("what Transformers refuses") from error
        if wish.end_tokens != decoder.end_tokens:
            raise NotCovered("eos_token_id")
        return wish

    def _alone(self, prediction: Prediction, call: BoundArguments) -> Any:
        def is_canceled() -> bool:
            return prediction.is_cancel_requested

        given = call.arguments.get("stopping_criteria") or ()
        call.arguments["stopping_criteria"] = StoppingCriteriaList([*given, _Stop(is_canceled)])
        drawn = seed.get()
        with prediction.woken_by(self._turns.look_again):
            try:
                with self._turns.turn(is_canceled), drawn.in_force() if drawn else nullcontext():
                    result = self._generate(*call.args, **call.kwargs)
            except GivenUp:
                raise Stopped from None
        if is_canceled():
            raise Stopped
        return result

    def _tell(self, reason: str) -> None:
        """Once, and to no prediction: it concerns them all."""
        if reason not in self._told and len(self._told) < _REASONS:
            self._told.add(reason)
            self._say(f"generate() of {self._name} answers one call at a time: {reason}.")


class _Stop(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, is_due: Callable[[], bool]) -> None:
        self._is_due = is_due

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._is_due(), device=input_ids.device)
