"""Runs several predictions at once of a model whose predict() is not async: each in a thread of its own.

How one of them goes stands in answering.py. The main thread only hands them out, in the order in which they come.
"""

from __future__ import annotations

import inspect
import sys
import threading
import time

from pinion_runtime import logs
from pinion_runtime.answering import Answering, conclude
from pinion_runtime.concurrency import lowered_by_setup
from pinion_runtime.control import Control, Prediction, current
from pinion_runtime.frames import FrameWriter, compose
from pinion_runtime.health import HealthCheck
from pinion_runtime.interruption import ThreadInterruption
from pinion_runtime.loading import Model
from pinion_runtime.routing import Printed, printing
from pinion_runtime.serving import awaited

_GENERATING = "transformers.generation.utils"


class ThreadServing:
    def __init__(self, model: Model, control: Control, writer: FrameWriter, concurrency: int) -> None:
        self._model = model
        self._control = control
        self._writer = writer
        self.concurrency = concurrency
        self._is_set_up = self._batches_generate = False
        self._windows: dict[Prediction, ThreadInterruption] = {}
        control.interrupt = self._interrupt
        control.go_on = lambda prediction: prediction.taken.put(None)
        control.ask_health = HealthCheck(model.healthcheck, awaited, writer).ask

    def set_up(self) -> None:
        pending = self._model.setup()
        if inspect.isawaitable(pending):
            awaited(pending)
        self.concurrency = lowered_by_setup(self._model, self.concurrency)
        self._batch_generate()
        self._is_set_up = True

    def serve(self) -> None:
        seats = threading.Semaphore(self.concurrency)
        for prediction in iter(self._control.inbox.get, None):
            seats.acquire()
            self._batch_generate()
            # A thread for each: an exception that is raised in it can never meet the next prediction.
            threading.Thread(target=self._answer, args=(prediction, seats), name="pinion-prediction").start()
        for _ in range(self.concurrency):  # until nobody has one any more
            seats.acquire()

    def _batch_generate(self) -> None:
        """Once the model has imported Transformers, which may be at its first prediction."""
        if self._batches_generate or _GENERATING not in sys.modules:
            return
        self._batches_generate = True
        try:
            from pinion_generate.interception import intercept

            intercept(vars(self._model.instance).values() if self._model.instance else (), self._say)
        except Exception as error:  # its libraries may be of any version
            self._say(f"Calls of generate() are not batched, which takes Python 3.11 and Transformers 5: {error}")

    def _say(self, line: str) -> None:
        """To the log of the process, whoever is running."""
        if self._is_set_up:
            self._writer.write(compose("log", {"id": None, "text": f"{line}\n"}))
        else:
            print(line)

    def _answer(self, prediction: Prediction, seats: threading.Semaphore) -> None:
        began = time.perf_counter()
        window = self._windows[prediction] = ThreadInterruption()
        printed = Printed(self._writer, prediction.id, window.held_off)
        prediction.held_off = window.held_off
        printing.set(printed)  # a thread has a context of its own
        current.set(prediction)
        outcome = Answering(self._model, self._writer, window).outcome(prediction)
        logs.flush()  # here, where it is known whose it is: a model may have wrapped the streams
        printed.end()
        del self._windows[prediction]
        self._control.forget(prediction)
        conclude(self._writer, prediction, outcome, began)
        seats.release()

    def _interrupt(self, prediction: Prediction) -> None:
        """Heard, even if the thread should be in C: then the parent lets the others finish."""
        self._writer.write(compose("interrupted", {"id": prediction.id}))
        window = self._windows.get(prediction)
        if window is not None:  # else it has not begun, and hears of it when it does
            window.request(prediction)
            prediction.be_woken()
