"""Trainings that go on in this process: each can be told to stop.

What it does is the business of `train`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from worker.interruption import Interruptible


class Trainings:
    """All of them."""

    def __init__(self) -> None:
        self._going_on: list[tuple[str, Interruptible]] = []

    @contextmanager
    def going_on(self, training_id: str) -> Iterator[Interruptible]:
        """To be held from before the claim, so that no word to cancel is lost."""
        entry = (training_id, Interruptible())
        self._going_on.append(entry)
        try:
            yield entry[1]
        finally:
            self._going_on.remove(entry)

    def interrupt(self, training_id: str) -> None:
        """Stop a training if it goes on here."""
        for going_on, training in self._going_on:
            if going_on == training_id:
                training.interrupt()
