"""What the predictions of a version come to: numbers of any name, but not of any number of names."""

from typing import Any

import pytest

from worker.tally import Tally


def test_numbers_that_are_recorded_add_up_by_name() -> None:
    tally = Tally()
    tally.add("succeeded", 1.5, {"output_token_count": 3, "images": 1, "time_to_first_token": 0.25})
    tally.add("failed", 0.5, {"output_token_count": 4})
    recorded = {"output_token_count": 7, "images": 1, "time_to_first_token": 0.25}
    assert tally.report() == {"ended": {"succeeded": 1, "failed": 1}, "seconds": 2.0, "recorded": recorded}


@pytest.mark.parametrize("value", ["3", True, None, [1], {"nested": 1}, -1, 2**53, float("nan"), float("inf")])
def test_what_is_no_number_that_can_be_summed_is_left_out(value: Any) -> None:
    tally = Tally()
    tally.add("succeeded", 0, {"odd": value})
    assert tally.recorded.values == {}


def test_a_model_that_makes_up_names_fills_no_memory() -> None:
    tally = Tally()
    for number in range(1000):
        tally.add("succeeded", 0, {f"step {number}": 1, "x" * 101: 1})
    assert list(tally.recorded.values) == [f"step {number}" for number in range(32)]
    tally.add("succeeded", 0, {"step 0": 1})
    assert tally.recorded.values["step 0"] == 2
