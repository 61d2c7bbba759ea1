"""What a model records as metrics, and the object its client sees in the end."""

from typing import Any

import pytest

from worker.events import Metric
from worker.metrics import apply

Recorded = list[tuple[str, Any, str]]


@pytest.mark.parametrize(
    ("recorded", "shown"),
    [
        ([("a.b", 1, "replace")], {"a": {"b": 1}}),
        ([("a.b.c", 1, "replace"), ("a.d", 2, "replace")], {"a": {"b": {"c": 1}, "d": 2}}),
        ([("a.b", 1, "incr"), ("a.b", 2, "incr")], {"a": {"b": 3}}),
        ([("a.b", "x", "append"), ("a.b", "y", "append")], {"a": {"b": ["x", "y"]}}),
        ([("a.b", 1, "replace"), ("a.b", None, "replace")], {"a": {}}),
        ([("a", {"b": 1}, "replace"), ("a.c", 2, "replace")], {"a": {"b": 1, "c": 2}}),
        ([("a", 1, "replace"), ("a.b", 2, "replace")], {"a": {"b": 2}}),
        ([("n", 1, "replace"), ("n", 2, "append")], {"n": [1, 2]}),
    ],
)
def test_dots_in_a_name_nest_and_every_mode_reaches_inside(recorded: Recorded, shown: dict[str, Any]) -> None:
    metrics: dict[str, Any] = {}
    for entry in recorded:
        apply(metrics, Metric(*entry))
    assert metrics == shown


@pytest.mark.parametrize("name", ["took 1.5 s", "top.1", "a..b", ".", "v1.0"])
def test_a_name_whose_dots_part_nothing_is_kept_as_it_is(name: str) -> None:
    metrics: dict[str, Any] = {}
    apply(metrics, Metric(name, 1, "replace"))
    assert metrics == {name: 1}
