"""`current_scope()`: what a running prediction can say about itself besides its output.

Nothing is sent from here: the runtime hands each scope the function that carries a metric away.
"""

from __future__ import annotations

import re
import warnings
from contextvars import ContextVar
from typing import Any, Callable

# (name, value, mode); a value of None deletes the metric.
Record = Callable[[str, Any, str], None]

_MODES = {"replace": "replace", "incr": "incr", "increment": "incr", "append": "append"}
_VALUES = (bool, int, float, str, list, dict)
_NAME_CHARACTERS, _NAME_SEGMENTS = 128, 4
_KINDS = {float: "a number", str: "a text", list: "a list", dict: "a dict"}
_SEGMENT = re.compile("[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")


def _drop(name: str, value: Any, mode: str) -> None:
    """For when nobody listens."""


outside: Record = _drop
"""Carries away what is recorded outside a prediction: it tells of the process, not of one of them."""


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
        self._kinds: dict[str, type] = {}

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
        self._keep_to_kind(name, plain, _MODES[mode])
        if not _is_usual(name):  # older models recorded under any name
            warnings.warn(f"{name!r} is no usual name for a metric", stacklevel=2)
        self._carry(name, plain, _MODES[mode])

    def _keep_to_kind(self, name: str, value: Any, mode: str) -> None:
        """A metric stays what it is: a number, a text, a list or a dict."""
        if value is None:
            self._kinds.pop(name, None)
            return
        kind = list if mode == "append" else float if isinstance(value, (bool, int, float)) else type(value)
        if mode == "incr" and kind is not float:
            raise TypeError(f"metric {name!r} can only be increased by a number")
        known = self._kinds.setdefault(name, kind)
        if known is not kind and mode != "append":
            raise TypeError(
                f"metric {name!r} was recorded as {_KINDS.get(known)} before, and cannot become another type"
            )
        self._kinds[name] = kind


def _is_usual(name: str) -> bool:
    segments = name.split(".")
    return (
        len(name) <= _NAME_CHARACTERS
        and len(segments) <= _NAME_SEGMENTS
        and all(_SEGMENT.fullmatch(segment) and "__" not in segment for segment in segments)
        and name != "predict_time"
        and segments[0] != "cog"
    )


running: ContextVar[Scope] = ContextVar("running")


def current_scope() -> Scope:
    """The scope of the running prediction; outside of one, a scope that records for the process."""
    return running.get(None) or Scope(outside)


def emit_metric(name: str, value: Any) -> None:
    """The older spelling of `current_scope().record_metric`."""
    current_scope().record_metric(name, value)
