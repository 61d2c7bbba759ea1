"""What a prediction said about chance: with the same seed it gets the same again, whatever runs beside it.

torch has one generator for all threads, so a seed is kept with the prediction that set it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

_SEED_BITS = 64


class Seed:
    """One that was set, and how much of what follows from it is used up."""

    def __init__(self, value: int, set_seed: Callable[[int], Any]) -> None:
        self._value = value
        self._set_seed = set_seed
        self._used = 0
        self._state: tuple[torch.Tensor, list[torch.Tensor]] | None = None
        self._lock = threading.Lock()

    def next(self) -> int:
        """For one request of the engine: another one each time, the same ones in the same order."""
        with self._lock:
            used, self._used = self._used, self._used + 1
        return self._value + (used << _SEED_BITS)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """torch draws as if nobody else had drawn since the seed was set."""
        devices = range(torch.cuda.device_count())
        with torch.random.fork_rng(devices):
            if self._state is None:
                self._set_seed(self._value)
            else:
                torch.set_rng_state(self._state[0])
                torch.cuda.set_rng_state_all(self._state[1])
            yield
            self._state = (torch.get_rng_state(), torch.cuda.get_rng_state_all() if devices else [])


seed: ContextVar[Seed | None] = ContextVar("seed", default=None)


def keep_seeds() -> None:
    """From now on torch.manual_seed, which also Transformers' set_seed calls, sets that of its context."""
    set_seed = torch.manual_seed

    def manual_seed(value: Any) -> Any:
        seed.set(Seed(int(value), set_seed))
        return set_seed(value)

    torch.manual_seed = torch.random.manual_seed = manual_seed  # type: ignore[assignment]
