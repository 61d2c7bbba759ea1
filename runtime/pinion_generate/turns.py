"""Who may use a model: one at a time, in the order of arrival.

A plain lock is taken again at once by whoever has just released it: the engine's steps would leave nobody else a turn.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition


class GivenUp(Exception):
    """Nobody wants the turn any more."""


class Turns:
    def __init__(self) -> None:
        self._changed = Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def turn(self, is_unwanted: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Within, nobody else has one. Raises GivenUp when it is unwanted before it comes, which `look_again` finds."""
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            self._changed.wait_for(lambda: self._line[0] is ticket or is_unwanted())
        try:
            if self._line[0] is not ticket:
                raise GivenUp
            yield
        finally:
            with self._changed:
                self._line.remove(ticket)
                self._changed.notify_all()

    def look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()
