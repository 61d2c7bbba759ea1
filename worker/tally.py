"""What the predictions of one version have come to since this worker began, for whoever watches it from outside.

The truth about each of them stands in its row; nothing is decided by these sums.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Models may record anything, under any name; each one is a time series for whoever keeps these sums.
_LARGEST = 2**53
_NAMES_MAX = 32
_NAME_CHARACTERS_MAX = 100


@dataclass(slots=True)
class Tally:
    ended: Counter[str] = field(default_factory=Counter)
    """Predictions by their final status."""
    seconds: float = 0.0
    """Spent in predict()."""
    recorded: dict[str, float] = field(default_factory=dict)
    """Sums of the numbers that the model recorded as metrics, by name; of those that came first."""

    def add(self, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        """One more has ended."""
        self.ended[status] += 1
        self.seconds += seconds
        for name, value in metrics.items():
            if _is_summed(value) and self._has_room_for(name):
                self.recorded[name] = self.recorded.get(name, 0) + value

    def report(self) -> dict[str, Any]:
        return {"ended": dict(self.ended), "seconds": round(self.seconds, 3), "recorded": dict(self.recorded)}

    def _has_room_for(self, name: str) -> bool:
        return name in self.recorded or (len(self.recorded) < _NAMES_MAX and len(name) <= _NAME_CHARACTERS_MAX)


def _is_summed(value: Any) -> bool:
    """Sums only grow, as Prometheus wants them to."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LARGEST
