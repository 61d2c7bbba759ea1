"""The base classes of a model: `BasePredictor` with predict(), `BaseRunner` with run().

Both are optional; neither defines predict() or run(), so that the runtime sees what the model itself defines.
"""

from __future__ import annotations

from typing import Any

from cog.scope import Scope, current_scope


class BasePredictor:
    def setup(self, weights: Any = None) -> Any:
        """Runs once, before the first prediction."""

    @property
    def scope(self) -> Scope:
        return current_scope()

    def record_metric(self, name: str, value: Any, mode: str = "replace") -> None:
        current_scope().record_metric(name, value, mode)


class BaseRunner(BasePredictor):
    """The newer name: a runner defines run() where a predictor defines predict()."""
