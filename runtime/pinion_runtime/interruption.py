"""Interrupts a thread, but only while it runs user code of the prediction that is meant.

Who asks for a cancel and what follows from it is not decided here.

The race this closes: a signal is handled, and an exception raised in another thread, some time after it was
sent. By then the prediction may be over, its result half written, or the next one running. So it strikes only while the
window is open, and the window is opened for one prediction, around its own code alone. A request that came while the
window was closed is found when it is opened again. Each prediction is interrupted at most once.
"""

from __future__ import annotations

import ctypes
import signal
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import Any, Iterator

from cog import CancelationException

_SIGNAL = signal.SIGUSR1
_WORDS = "the prediction was canceled"


class Cancelable:
    """What the window must know of a prediction."""

    is_begun = False  # of those that a signal has to interrupt
    is_cancel_requested = False
    is_interrupted = False


class Window(ABC):
    """Of the thread in which it is made."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._open_for: Cancelable | None = None

    @abstractmethod
    def request(self, prediction: Cancelable) -> None:
        """From any thread: interrupts the prediction now, or as soon as the window is open for it."""

    @abstractmethod
    def open(self, prediction: Cancelable) -> None:
        """In the window's own thread; call it inside the `try` whose `finally` closes the window."""

    @abstractmethod
    def close(self) -> None:
        """After this nothing strikes any more."""

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Around our own code called from user code: a frame must not be torn in two."""
        prediction = self._open_for
        if threading.get_ident() != self._thread or prediction is None:
            yield
            return
        self.close()
        try:
            yield
        finally:
            self.open(prediction)


class Interruption(Window):
    """Of the main thread: a signal, because it also ends a sleep or a read in C."""

    def __init__(self) -> None:
        super().__init__()
        signal.signal(_SIGNAL, self._on_signal)

    def request(self, prediction: Cancelable) -> None:
        prediction.is_cancel_requested = True
        signal.pthread_kill(self._thread, _SIGNAL)

    def open(self, prediction: Cancelable) -> None:
        self._open_for = prediction
        self._raise_if_requested()

    def close(self) -> None:
        self._open_for = None

    def _on_signal(self, *_: Any) -> None:
        self._raise_if_requested()

    def _raise_if_requested(self) -> None:
        prediction = self._open_for
        if prediction is None or prediction.is_interrupted or not prediction.is_cancel_requested:
            return
        self._open_for = None
        prediction.is_interrupted = True
        raise CancelationException(_WORDS)


class ThreadInterruption(Window):
    """Of any thread, which runs one prediction: an exception is raised in it before the next step of Python code.

    What blocks in C goes on until it returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def request(self, prediction: Cancelable) -> None:
        prediction.is_cancel_requested = True
        with self._lock:
            if self._open_for is prediction and not prediction.is_interrupted:
                prediction.is_interrupted = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(CancelationException)
                )

    def open(self, prediction: Cancelable) -> None:
        with self._lock:
            if not prediction.is_cancel_requested or prediction.is_interrupted:
                self._open_for = prediction
                return
        prediction.is_interrupted = True
        raise CancelationException(_WORDS)

    def close(self) -> None:
        """What was sent before strikes in here at the latest, and only once."""
        try:
            self._shut()
            _pass_a_checkpoint()
        except CancelationException:
            self._shut()
            raise

    def _shut(self) -> None:
        with self._lock:
            self._open_for = None


def _pass_a_checkpoint() -> None:
    """The interpreter looks for an exception to raise whenever a function is called."""
