"""Interrupts the main thread by a signal, but only while it runs user code of the prediction that is meant.

Who asks for a cancel and what follows from it is not decided here.

The race this closes: a signal is handled some time after it was sent. By then the prediction may be over,
its result half written, or the next one running. So the handler raises only while the window is open, and
the window is opened for one prediction, around its own code alone. A request that came while the window was
closed is found when it is opened again. Each prediction is interrupted at most once.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import Any, Iterator

from cog import CancelationException

_SIGNAL = signal.SIGUSR1


class Cancelable:
    """What the window must know of a prediction."""

    is_begun = False  # of those that a signal has to interrupt
    is_cancel_requested = False
    is_interrupted = False


class Interruption:
    def __init__(self) -> None:
        self._main_thread = threading.get_ident()
        self._open_for: Cancelable | None = None
        signal.signal(_SIGNAL, self._on_signal)

    def request(self, prediction: Cancelable) -> None:
        """From any thread. A signal rather than a flag, because it also ends a sleep or a read in C."""
        prediction.is_cancel_requested = True
        signal.pthread_kill(self._main_thread, _SIGNAL)

    def open(self, prediction: Cancelable) -> None:
        """Main thread only; call it inside the `try` whose `finally` closes the window."""
        self._open_for = prediction
        self._raise_if_requested()

    def close(self) -> None:
        self._open_for = None

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Around our own code called from user code: a frame must not be torn in two."""
        if threading.get_ident() != self._main_thread or self._open_for is None:
            yield
            return
        prediction, self._open_for = self._open_for, None
        try:
            yield
        finally:
            self.open(prediction)

    def _on_signal(self, *_: Any) -> None:
        self._raise_if_requested()

    def _raise_if_requested(self) -> None:
        prediction = self._open_for
        if prediction is None or prediction.is_interrupted or not prediction.is_cancel_requested:
            return
        self._open_for = None
        prediction.is_interrupted = True
        raise CancelationException("the prediction was canceled")
