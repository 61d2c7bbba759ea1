"""Stands in for generate() of every model of Transformers, and for what else predictions share without knowing.

What a call becomes is decided at the model's desk. Outside of predictions everything stays as it was.
"""

import inspect
import sys
import threading
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from transformers import PreTrainedModel
from transformers.generation.utils import GenerationMixin
from transformers.tokenization_utils_tokenizers import TokenizersBackend

from pinion_generate.desk import Desk
from pinion_generate.openmp import give_back_threads
from pinion_generate.seeds import keep_seeds
from pinion_generate.written import Stopped
from pinion_runtime.control import current

_DESK = "_pinion_desk"
_SWITCH_SECONDS = 0.0002
"""A step of the engine gives the interpreter away at every kernel, and has to wait that long when others are busy."""
_generate = GenerationMixin.generate
_signature = inspect.signature(_generate)
_desks = threading.Lock()
_nested = threading.local()


def intercept(loaded: Iterable[Any], say: Callable[[str], None]) -> None:
    """Once a process, in the thread that has set it up and computes no more; `say` writes a line to its log.

    The models among what a predictor has loaded get their desks now, so that the log of the start says what to expect.
    """
    GenerationMixin.generate = _stand_in(say)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A tokenizer is told how to cut and pad before each use, and another thread may tell it otherwise in between.
    TokenizersBackend._encode_plus = _one_at_a_time(TokenizersBackend._encode_plus)
    keep_seeds()
    for each in loaded:
        for model in (each, getattr(each, "model", None)):  # a pipeline has one
            if isinstance(model, PreTrainedModel) and isinstance(model, GenerationMixin):
                _desk_of(model, say)
    give_back_threads()


def _stand_in(say: Callable[[str], None]) -> Callable[..., Any]:
    @wraps(_generate)
    def generate(*given: Any, **named: Any) -> Any:
        prediction = current.get(None)
        if prediction is None or getattr(_nested, "is_so", False):
            return _generate(*given, **named)
        call = _signature.bind(*given, **named)
        _nested.is_so = True
        try:
            with prediction.held_off():  # in its own thread a cancel strikes when this ends
                return _desk_of(call.arguments["self"], say).answer(prediction, call)
        except Stopped:
            raise SystemExit from None  # in any other thread, which ends without a word
        finally:
            _nested.is_so = False

    return generate


def _desk_of(model: Any, say: Callable[[str], None]) -> Desk:
    with _desks:
        if model.__dict__.get(_DESK) is None:
            model.__dict__[_DESK] = Desk(model, _generate, say)
        desk: Desk = model.__dict__[_DESK]
        return desk


def _one_at_a_time(function: Callable[..., Any]) -> Callable[..., Any]:
    turn = threading.RLock()

    @wraps(function)
    def taking_turns(*given: Any, **named: Any) -> Any:
        with turn:
            return function(*given, **named)

    return taking_turns
