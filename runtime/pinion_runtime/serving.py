"""Runs setup() and then predictions, one after the other in the main thread, of a model whose predict() is not async.

Hearing the parent is the business of control.py, and how a prediction goes stands in answering.py; models that run
several at once have rooms of their own, serving_threads.py and serving_async.py.
"""

from __future__ import annotations

import inspect
import time
from typing import Any, Awaitable

from pinion_runtime.answering import Answering, Outcome, conclude, failure
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter
from pinion_runtime.health import HealthCheck
from pinion_runtime.interruption import Interruption
from pinion_runtime.loading import Model
from pinion_runtime.temporary import TemporaryFolder


class Serving:
    concurrency = 1

    def __init__(self, model: Model, control: Control, writer: FrameWriter) -> None:
        self._model = model
        self._control = control
        self._writer = writer
        window = Interruption()
        self._answering = Answering(model, writer, window)
        self._temporary = TemporaryFolder()
        control.interrupt = window.request
        control.go_on = lambda prediction: prediction.taken.put(None)
        control.ask_health = HealthCheck(model.healthcheck, awaited, writer).ask

    def set_up(self) -> None:
        pending = self._model.setup()
        if inspect.isawaitable(pending):
            awaited(pending)

    def serve(self) -> None:
        for prediction in iter(self._control.inbox.get, None):
            began = time.perf_counter()
            outcome = self._outcome(prediction)
            self._control.forget(prediction)
            conclude(self._writer, prediction, outcome, began)

    def _outcome(self, prediction: Prediction) -> Outcome:
        prediction.is_begun = True
        try:
            self._temporary.open()
            return self._answering.outcome(prediction)
        except OSError as error:  # the disk is full
            return failure(error, self._model, prediction)
        finally:
            prediction.left = self._temporary.close()


def awaited(pending: Awaitable[Any]) -> Any:
    import asyncio  # slow to import, and most models never need it

    async def wait() -> Any:
        return await pending

    return asyncio.run(wait())
