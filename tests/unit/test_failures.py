"""How long a model that fails is left alone, and when it counts as unhealthy."""

import pytest

from worker.events import SetupFailed, Unhealthy
from worker.failures import UNHEALTHY_AFTER, Failures

WHY = SetupFailed("The weights are missing.", "loading weights\n")


def failing(count: int) -> Failures:
    failures = Failures()
    for _ in range(count):
        failures.add(WHY)
    return failures


async def test_the_first_failure_is_followed_by_a_new_start_at_once() -> None:
    failures = failing(1)
    await failures.waited_out()
    assert (failures.seconds_left, failures.is_unhealthy) == (0.0, False)


async def test_from_the_third_failure_on_nobody_waits_and_it_is_said_why_and_for_how_long() -> None:
    with pytest.raises(Unhealthy) as refused:
        await failing(UNHEALTHY_AFTER).waited_out()
    assert "failed 3 times in a row, the last time with: The weights are missing. It is tried again in" in str(
        refused.value
    )
    assert refused.value.logs == WHY.logs


async def test_one_success_makes_it_well() -> None:
    failures = failing(10)
    failures.forget()
    await failures.waited_out()
    assert (failures.count, failures.is_unhealthy, failures.last) == (0, False, None)


def test_each_wait_is_longer_than_the_one_before_up_to_a_limit_and_no_two_models_wait_alike() -> None:
    waits = [failing(count).seconds_left for count in range(1, 7)]
    assert waits == sorted(waits)
    assert waits[-1] > 200
    assert max(failing(count).seconds_left for count in range(1, 100)) <= 360
    assert len({failing(5).seconds_left for _ in range(5)}) == 5
