"""The thread that hears the parent: new predictions, cancels, and the end of the line.

It runs no user code; predictions are run by serving.py and its likes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from queue import SimpleQueue
from typing import Any, Callable, ContextManager, Iterator, Sequence

from pinion_runtime.interruption import Cancelable

_LOOK_SECONDS = 0.2
_INSIST_SECONDS = 0.02


class Prediction(Cancelable):
    def __init__(
        self,
        prediction_id: str,
        given: dict[str, Any],
        files: Sequence[str] = (),
        context: dict[str, str] | None = None,
    ) -> None:
        self.id = prediction_id
        self.input = given
        self.files = files
        self.context = context or {}
        self.taken: SimpleQueue[None] = SimpleQueue()  # an entry for each output with files that has been stored
        self.held_off: Callable[[], ContextManager[None]] = nullcontext  # within, no exception is raised in its thread
        self._wakers: list[Callable[[], None]] = []
        self.left: str | None = None  # name of its temporary folder, once that is to be removed

    def be_woken(self) -> None:
        """After a cancel: whatever it waits for, its thread has to go on for the exception to strike."""
        self.taken.put(None)
        for wake in list(self._wakers):
            wake()

    @contextmanager
    def woken_by(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls it on a cancel. Look within whether one was requested before."""
        self._wakers.append(wake)
        try:
            yield
        finally:
            self._wakers.remove(wake)


current: ContextVar[Prediction] = ContextVar("current")
"""The prediction to which a thread belongs."""


class Control:
    """An inbox of predictions in order of arrival; None is its end."""

    def __init__(self) -> None:
        self.inbox: SimpleQueue[Prediction | None] = SimpleQueue()
        self.on_arrival: Callable[[], None] = lambda: None
        self.interrupt: Callable[[Prediction], None] = lambda prediction: None
        self.go_on: Callable[[Prediction], None] = lambda prediction: None
        self.ask_health: Callable[[int], None] = lambda number: None
        self._known: dict[str, Prediction] = {}
        self._parent = os.getppid()

    def listen(self, frames: Iterator[dict[str, Any]]) -> None:
        threading.Thread(target=self._listen, args=(frames,), name="pinion-control", daemon=True).start()

    def forget(self, prediction: Prediction) -> None:
        """Before it is reported done: from then on the parent may send the same id again."""
        self._known.pop(prediction.id, None)

    def _listen(self, frames: Iterator[dict[str, Any]]) -> None:
        for frame in frames:
            if frame["type"] == "predict":
                prediction = Prediction(frame["id"], frame["input"], frame.get("files", ()), frame.get("context"))
                self._known[prediction.id] = prediction
                self._deliver(prediction)
            elif frame["type"] == "cancel":
                self._cancel(frame["id"])
            elif frame["type"] == "taken" and frame["id"] in self._known:
                self.go_on(self._known[frame["id"]])
            elif frame["type"] == "healthcheck":
                self.ask_health(frame["number"])
        self._deliver(None)
        self._end_with_parent()

    def _end_with_parent(self) -> None:
        """A parent that lives ends us itself when it loses patience; after a dead one nobody would."""
        while os.getppid() == self._parent:
            time.sleep(_LOOK_SECONDS)
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def _deliver(self, prediction: Prediction | None) -> None:
        self.inbox.put(prediction)
        self.on_arrival()

    def _cancel(self, prediction_id: str) -> None:
        prediction = self._known.get(prediction_id)
        if prediction is not None:
            prediction.is_cancel_requested = True  # before anything else: it may not have started yet
            self.interrupt(prediction)
            if prediction.is_begun:
                threading.Thread(target=self._insist, args=(prediction,), name="pinion-cancel", daemon=True).start()

    def _insist(self, prediction: Prediction) -> None:
        """A signal that comes in the moment before a sleep or a read in C begins does not end it; the next one does."""
        while True:
            time.sleep(_INSIST_SECONDS)
            if prediction.is_interrupted or self._known.get(prediction.id) is not prediction:
                return
            self.interrupt(prediction)
