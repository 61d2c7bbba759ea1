"""What the predictions of one version have come to since this worker began, for whoever watches it from outside.

The truth about each of them stands in its row; nothing is decided by these sums.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN_COUNTS = ("input_token_count", "output_token_count")
_LARGEST_COUNT = 2**53
"""Models may record anything."""


@dataclass(slots=True)
class Tally:
    ended: Counter[str] = field(default_factory=Counter)
    """Predictions by their final status."""
    seconds: float = 0.0
    """Spent in predict()."""
    tokens: Counter[str] = field(default_factory=Counter)
    """As models count them, under the names that Replicate's language models use."""

    def add(self, status: str, seconds: float, metrics: Mapping[str, Any]) -> None:
        """One more has ended."""
        self.ended[status] += 1
        self.seconds += seconds
        for name in _TOKEN_COUNTS:
            count = metrics.get(name)
            if isinstance(count, int | float) and 0 < count < _LARGEST_COUNT:
                self.tokens[name] += int(count)

    def report(self) -> dict[str, Any]:
        return {"ended": dict(self.ended), "seconds": round(self.seconds, 3), "tokens": dict(self.tokens)}
