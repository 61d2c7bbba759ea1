"""What the predictions of one version have come to since this worker began, for whoever watches it from outside.

The truth about each of them stands in its row; nothing is decided by these sums.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.numbers import Numbers


@dataclass(slots=True)
class Tally:
    ended: Counter[str] = field(default_factory=Counter)
    """Predictions by their final status."""
    seconds: float = 0.0
    """Spent in predict()."""
    recorded: Numbers = field(default_factory=Numbers)
    """Sums of the numbers that the model recorded as metrics."""

    def add(self, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        """One more has ended."""
        self.ended[status] += 1
        self.seconds += seconds
        for name, value in metrics.items():
            self.recorded.add(name, value)

    def report(self) -> dict[str, Any]:
        return {"ended": dict(self.ended), "seconds": round(self.seconds, 3), "recorded": dict(self.recorded.values)}
