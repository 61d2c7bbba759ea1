"""Rows 39 and 40: receivers that are slow or refuse, and senders that die at each point of their work."""

from itertools import repeat

import pytest

from tests.faults.history import ENDS
from tests.faults.trial import Trial


@pytest.mark.slow
@pytest.mark.parametrize("answers", [[500, 500], [302], [429]], ids=["broken", "moved", "busy"])
async def test_row_39_a_receiver_that_refuses(trial: Trial, answers: list[int]) -> None:
    trial.receiver.answers = list(answers)
    trial.client.filters = repeat(ENDS)  # of what comes before there is one attempt only
    [order] = await trial.started(1)
    trial.begins()
    await trial.until(lambda: len(trial.receiver.deliveries) > len(answers), 60.0)
    await trial.judged(bound=40.0)
    assert len({delivery.headers["webhook-id"] for delivery in trial.receiver.deliveries}) == 1
    assert order.final


@pytest.mark.parametrize(
    "point", ["after_post", *(pytest.param(point, marks=pytest.mark.slow) for point in ("before_post", "after_note"))]
)
async def test_row_40_a_sender_killed_at_a_point_of_its_work(trial: Trial, point: str) -> None:
    await trial.crashed(trial.stack.sender, point)
    trial.stack.sender.start()
    trial.begins()
    await trial.judged(bound=6.0)
