"""The metrics of one prediction, as they grow by what its model records.

Names are not judged here; the model process refuses what it does not allow.
"""

from typing import Any

from worker.events import Metric


def apply(metrics: dict[str, Any], metric: Metric) -> None:
    """A name with dots reaches into nested objects, which are made as needed; a value in the way of one gives way."""
    *path, name = _path(metric.name)
    for step in path:
        inner = metrics.get(step)
        # a copy: what a model recorded as a whole belongs to its event
        metrics[step] = metrics = dict(inner) if isinstance(inner, dict) else {}
    known = metrics.get(name)
    if metric.value is None:
        metrics.pop(name, None)
    elif metric.mode == "incr" and isinstance(known, int | float):
        metrics[name] = known + metric.value
    elif metric.mode == "append":
        metrics[name] = [*_as_list(known), metric.value]
    else:
        metrics[name] = metric.value


def _path(name: str) -> list[str]:
    """Older models record under any name, where a dot need not mean anything."""
    steps = name.split(".")
    return steps if all(step.isidentifier() for step in steps) else [name]


def _as_list(known: Any) -> list[Any]:
    """What is appended to: a single value becomes the first of the list."""
    return known if isinstance(known, list) else [] if known is None else [known]
