"""Drives an engine for callers in many threads: in a thread of its own, which lives while there is anything to do.

Nothing is known here of what is asked for and of who asks.
"""

import threading
from collections import deque
from contextvars import Context

from pinion_generate.turns import Turns
from pinion_textgen.engine import Engine
from pinion_textgen.request import End, Request


class Refused(Exception):
    """The engine cannot answer such a request."""


class Batch:
    """A step is a turn, so between two steps somebody else may use the model."""

    def __init__(self, engine: Engine, turns: Turns) -> None:
        self._engine = engine
        self._turns = turns
        self._door = threading.Lock()
        self._coming: deque[Request] = deque()
        self._is_driven = False

    def submit(self, request: Request) -> None:
        """Its listener hears the rest; one that is refused has ended with that as its error."""
        with self._door:
            self._coming.append(request)
            if not self._is_driven:
                thread = threading.Thread(target=self._drive, name="pinion-engine", daemon=True)
                Context().run(thread.start)  # what it does belongs to no prediction
                self._is_driven = True

    def cancel(self, request: Request) -> None:
        """Its rows are free at the next step. One that is over stays as it is."""
        self._engine.cancel(request)

    def _drive(self) -> None:
        while self._has_work():
            with self._turns.turn():
                try:
                    self._engine.step()
                except Exception as error:  # nothing of the engine can be relied on
                    self._engine.fail(error)

    def _has_work(self) -> bool:
        with self._door:
            coming, self._coming = self._coming, deque()
        for request in coming:
            try:
                self._engine.submit(request)
            except ValueError as reason:
                request.finish_all(End.FAILED, Refused(str(reason)))
        with self._door:
            self._is_driven = self._engine.is_busy or bool(self._coming)
            return self._is_driven
