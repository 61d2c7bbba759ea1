"""Numbers by name, as models tell them, for whoever watches from outside.

Models may tell anything, under any name; each one is a time series for whoever keeps these.
"""

from typing import Any

from worker.events import Metric

_LARGEST = 2**53
_NAMES_MAX = 32
_NAME_CHARACTERS_MAX = 100


class Numbers:
    """Of the names that came first."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def hear(self, metric: Metric) -> None:
        """Keeps the newest of a number, or its sum if it is told as an increase."""
        if metric.value is None:
            self.values.pop(metric.name, None)
        elif is_number(metric.value):
            known = self.values.get(metric.name, 0) if metric.mode == "incr" else 0
            self._keep(metric.name, known + metric.value)

    def add(self, name: str, value: Any) -> None:
        """Sums only grow, as Prometheus wants them to."""
        if is_number(value) and value >= 0:
            self._keep(name, self.values.get(name, 0) + value)

    def _keep(self, name: str, value: float) -> None:
        if name in self.values or (len(self.values) < _NAMES_MAX and len(name) <= _NAME_CHARACTERS_MAX):
            self.values[name] = value


def is_number(value: Any) -> bool:
    """One that can be summed up: neither a truth nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST
