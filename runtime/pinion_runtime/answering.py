"""Carries out one prediction of a model whose predict() is not async, in the thread it is called in.

Which thread that is, and what else runs, is decided in serving.py and serving_threads.py.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Iterator

import cog
from cog import scope
from cog.scope import Record, Scope, running
from pinion_runtime import logs
from pinion_runtime.control import Prediction
from pinion_runtime.failures import InputError, ModelError, text_of
from pinion_runtime.frames import FrameWriter, compose
from pinion_runtime.inputs import arguments_of
from pinion_runtime.interruption import Window
from pinion_runtime.loading import Model
from pinion_runtime.outputs import encode, holds_file
from pinion_runtime.redaction import redacted, secrets_of

_END = object()


@dataclass(frozen=True)
class Outcome:
    status: str
    output: str = "null"  # JSON
    error: str | None = None


def failure(error: BaseException, model: Model, prediction: Prediction) -> Outcome:
    """Of user code: the text for the caller, the traceback for the logs; neither shows a secret of the input."""
    clean = partial(redacted, secrets=secrets_of(model.signature, prediction.input))
    if not isinstance(error, (InputError, ModelError)):
        logs.print_traceback(error, clean)
    return Outcome("failed", error=text_of(error, clean))


def output_heads(prediction: Prediction) -> tuple[str, str]:
    """All of an output frame that does not change from item to item: of an item without files, and of one with some."""
    plain, waiting = {"id": prediction.id}, {"id": prediction.id, "waits": True}
    return compose("output", plain, "value", "")[:-1], compose("output", waiting, "value", "")[:-1]


def metric(prediction_id: str | None, name: str, value: Any, mode: str) -> str:
    return compose("metric", {"id": prediction_id, "name": name, "mode": mode}, "value", encode(value))


def record_for_process(writer: FrameWriter) -> None:
    """What is recorded outside predictions from now on is told as well."""

    def record(name: str, value: Any, mode: str) -> None:
        writer.write(metric(None, name, value, mode))

    scope.outside = record


def conclude(writer: FrameWriter, prediction: Prediction, outcome: Outcome, began: float) -> None:
    if writer.is_closed:  # predict() forked, and this is the copy
        os._exit(0)
    fields = {
        "id": prediction.id,
        "status": outcome.status,
        "error": outcome.error,
        "predict_time": time.perf_counter() - began,
        "left": prediction.left,
    }
    logs.flush()
    writer.write(compose("done", fields, "output", outcome.output))


class Answering:
    """`window` is open whenever user code runs, and belongs to the thread in which predictions are answered."""

    def __init__(self, model: Model, writer: FrameWriter, window: Window) -> None:
        self._model = model
        self._writer = writer
        self._window = window

    def outcome(self, prediction: Prediction) -> Outcome:
        """The window is closed whenever control is here, so that nothing below can be interrupted."""
        token = running.set(Scope(self._recorder(prediction), prediction.context))
        try:
            arguments = arguments_of(self._model.signature, prediction.input, prediction.files)
            if self._model.signature.is_iterator:
                self._stream(prediction, arguments)
                output = "null"
            else:
                output = self._call(prediction, arguments)
        except cog.CancelationException:
            return Outcome("canceled")
        except BaseException as error:  # user code: also SystemExit must not end the process
            return Outcome("canceled") if prediction.is_interrupted else failure(error, self._model, prediction)
        finally:
            running.reset(token)
        # a model that swallowed the interruption is canceled all the same
        return Outcome("canceled") if prediction.is_interrupted else Outcome("succeeded", output)

    def _call(self, prediction: Prediction, arguments: dict[str, Any]) -> str:
        try:
            self._window.open(prediction)
            return encode(self._model.predict(**arguments))
        finally:
            self._window.close()

    def _stream(self, prediction: Prediction, arguments: dict[str, Any]) -> None:
        iterator = self._iterator(prediction, arguments)
        heads = output_heads(prediction)
        try:
            while (item := self._next(prediction, iterator)) is not None and not prediction.is_interrupted:
                waits = holds_file(item)
                self._writer.write(f"{heads[waits]}{item}}}")
                if waits:
                    self._wait_until_taken(prediction)
        except cog.CancelationException as canceled:
            _throw_into(iterator, canceled)
            raise
        finally:
            _close(iterator)

    def _iterator(self, prediction: Prediction, arguments: dict[str, Any]) -> Iterator[Any]:
        try:
            self._window.open(prediction)
            return iter(self._model.predict(**arguments))
        finally:
            self._window.close()

    def _next(self, prediction: Prediction, iterator: Iterator[Any]) -> str | None:
        try:
            self._window.open(prediction)
            item = next(iterator, _END)
            return None if item is _END else encode(item)
        finally:
            self._window.close()

    def _wait_until_taken(self, prediction: Prediction) -> None:
        try:
            self._window.open(prediction)
            prediction.taken.get()
        finally:
            self._window.close()

    def _recorder(self, prediction: Prediction) -> Record:
        def record(name: str, value: Any, mode: str) -> None:
            with self._window.held_off():
                self._writer.write(metric(prediction.id, name, value, mode))

        return record


def _throw_into(iterator: Iterator[Any], canceled: BaseException) -> None:
    """Canceled between two items, the generator still has to hear of it, to clean up."""
    throw = getattr(iterator, "throw", None)
    if throw is not None:
        with suppress(BaseException):
            throw(canceled)


def _close(iterator: Iterator[Any]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        with suppress(BaseException):
            close()
