"""`current_scope()`: what a running prediction can say about itself besides its output.

Nothing is sent from here: the runtime hands each scope the function that carries a metric away.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Callable

# (name, value, mode); a value of None deletes the metric.
Record = Callable[[str, Any, str], None]

_MODES = {"replace": "replace", "incr": "incr", "increment": "incr", "append": "append"}
_VALUES = (bool, int, float, str, list, dict)


def _drop(name: str, value: Any, mode: str) -> None:
    """Outside a prediction there is nobody to record for."""


class Metrics:
    """`scope.metrics["name"] = value` and `del scope.metrics["name"]`."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def __setitem__(self, name: str, value: Any) -> None:
        self._record(name, value, "replace")

    def __delitem__(self, name: str) -> None:
        self._record(name, None, "replace")


class Scope:
    def __init__(self, record: Record = _drop, context: dict[str, str] | None = None) -> None:
        self._carry = record
        self.context = context or {}
        self.metrics = Metrics(self.record_metric)

    def record_metric(self, name: str, value: Any, mode: str = "replace") -> None:
        if not isinstance(name, str) or not name:
            raise ValueError("the name of a metric must be a non-empty string")
        if mode not in _MODES:
            raise ValueError(f"the mode of a metric must be replace, incr or append, not {mode!r}")
        # numpy and torch scalars are numbers to everyone who records them
        plain = value.item() if hasattr(value, "item") else value
        if plain is not None and not isinstance(plain, _VALUES):
            raise TypeError(
                f"metric {name!r} must be a bool, int, float, str, list or dict, not {type(value).__name__}"
            )
        self._carry(name, plain, _MODES[mode])


running: ContextVar[Scope] = ContextVar("running")


def current_scope() -> Scope:
    """The scope of the running prediction; outside of one, a scope that records nothing."""
    return running.get(None) or Scope()


def emit_metric(name: str, value: Any) -> None:
    """The older spelling of `current_scope().record_metric`."""
    current_scope().record_metric(name, value)
