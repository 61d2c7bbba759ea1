"""The metrics of one prediction, as they grow by what its model records.

Names are not judged here; the model process refuses what it does not allow.
"""

from typing import Any

from worker.events import Metric


def apply(metrics: dict[str, Any], metric: Metric) -> None:
    known = metrics.get(metric.name)
    if metric.value is None:
        metrics.pop(metric.name, None)
    elif metric.mode == "incr" and isinstance(known, int | float):
        metrics[metric.name] = known + metric.value
    elif metric.mode == "append":
        metrics[metric.name] = [*(known if isinstance(known, list) else []), metric.value]
    else:
        metrics[metric.name] = metric.value
