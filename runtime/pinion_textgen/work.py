"""What an engine has done so far, counted for whoever watches it.

The engine says what it holds at the moment; who is told, and when, is decided in `batching`.
"""

_ROWS = (1, 2, 4, 8, 16, 32, 64)
"""Bounds of the histogram of batch sizes; larger ones count among all steps."""


class Work:
    def __init__(self) -> None:
        self.tokens = self._steps = 0
        self._steps_up_to = dict.fromkeys(_ROWS, 0)

    def count(self, rows: int) -> None:
        """A step wrote a token for each of so many rows."""
        self.tokens += rows
        self._steps += 1
        for bound in _ROWS:
            self._steps_up_to[bound] += rows <= bound

    def figures(self) -> dict[str, float]:
        histogram = {f"steps_of_up_to_{bound}": count for bound, count in self._steps_up_to.items()}
        return {"tokens": self.tokens, "steps": self._steps, **histogram}
