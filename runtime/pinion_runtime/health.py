"""Asks the model's own healthcheck(), on a thread of its own, so that it is answered while a prediction runs.

How long an answer may take is decided by the parent.
"""

from __future__ import annotations

import inspect
import threading
from typing import Any, Awaitable, Callable

from pinion_runtime.failures import text_of
from pinion_runtime.frames import FrameWriter, compose
from pinion_runtime.routing import Printed, printing

_SAID_NO = "Healthcheck failed: user-defined healthcheck returned False"


class HealthCheck:
    """`finish` waits, in our thread, for what an async healthcheck() returned."""

    def __init__(
        self, check: Callable[[], Any] | None, finish: Callable[[Awaitable[Any]], Any], writer: FrameWriter
    ) -> None:
        self._check = check
        self._finish = finish
        self._writer = writer
        self._turn = threading.Lock()

    def ask(self, number: int) -> None:
        """While one is still being answered there is no second: a check that hangs must not pile up threads."""
        check = self._check
        if check is not None and self._turn.acquire(blocking=False):
            threading.Thread(target=self._answer, args=(check, number), name="pinion-health", daemon=True).start()

    def _answer(self, check: Callable[[], Any], number: int) -> None:
        printed = Printed(self._writer, None)
        printing.set(printed)  # a thread has a context of its own
        try:
            error = self._error(check)
        finally:
            self._turn.release()
        printed.end()
        self._writer.write(compose("healthcheck", {"number": number, "error": error}))

    def _error(self, check: Callable[[], Any]) -> str | None:
        try:
            result = check()
            is_well = bool(self._finish(result) if inspect.isawaitable(result) else result)
        except BaseException as error:  # user code
            return f"Healthcheck failed: {text_of(error)}"
        return None if is_well else _SAID_NO
