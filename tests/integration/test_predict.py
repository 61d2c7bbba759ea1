"""One prediction from its queue entry to its end, on real model processes; whatever goes wrong, it ends."""

import asyncio
from typing import Any

import pytest

from shared.contract import Status
from shared.settings import Settings
from tests.database_fixtures import Rows, until
from tests.host import Host, installed


async def test_a_prediction_is_run_and_ended(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    row = await rows.waiting(version_id=version_id, streams=True, input={"to": 3, "seconds": 0})
    await host.predict(version_id, row.id)
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output, ended.attempt) == (Status.SUCCEEDED, ["1 ", "2 ", "3 "], 1)
    assert ended.metrics["predict_time"] >= 0


async def test_a_model_that_can_run_several_predictions_is_given_as_many(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "runs_together", is_iterator=True)
    names = ("ann", "bob", "cid")
    waiting = [await rows.waiting(version_id=version_id, input={"name": name, "together": 3}) for name in names]
    async with asyncio.timeout(30):
        first = asyncio.create_task(host.predict(version_id, waiting[0].id))
        await until(lambda: _has_seats(host, 3))
        await asyncio.gather(first, *(host.predict(version_id, row.id) for row in waiting[1:]))
    assert [(await rows.prediction(row.id)).status for row in waiting] == [Status.SUCCEEDED] * 3


async def _has_seats(host: Host, seats: int) -> bool:
    return host.queue is not None and host.queue.max_jobs >= seats


async def test_a_prediction_that_was_canceled_meanwhile_is_not_run(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    row = await rows.ended(version_id=version_id, streams=True)
    await host.predict(version_id, row.id)
    assert await rows.prediction(row.id) == row


async def test_a_model_that_cannot_be_set_up_fails_its_predictions_and_says_why(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "fails_in_setup")
    for _ in range(2):
        row = await rows.waiting(version_id=version_id, webhook="http://127.0.0.1:9/")
        await host.predict(version_id, row.id)
        failed = await rows.prediction(row.id)
        assert failed.status == Status.FAILED
        assert "could not be set up" in failed.error
        assert failed.logs.startswith("loading weights")
        assert "RuntimeError: the weights are missing" in failed.logs
        assert [message.event for message in await rows.messages(row.id)] == ["completed"]


async def test_a_stale_job_whose_model_cannot_be_set_up_leaves_the_current_attempt_alone(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "fails_in_setup")
    first = await rows.running("other", version_id=version_id)
    current = await rows.claimed(await rows.redelivered(first), "another")
    await host.predict(version_id, first.id, first.delivery)
    assert await rows.prediction(first.id) == current


async def test_a_prediction_that_comes_back_to_the_worker_that_still_runs_it_ends_all_the_same(
    settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    row = await rows.waiting(version_id=version_id, input={"to": 1, "seconds": 0.3})
    first = asyncio.create_task(host.predict(version_id, row.id))
    await until(lambda: _is_running(rows, row.id))
    # The worker was silent for a lease, so the sweep has given the prediction to whoever comes first.
    fresh = await rows.redelivered(await rows.prediction(row.id))
    again = asyncio.create_task(host.predict(version_id, row.id, fresh.delivery))
    await asyncio.gather(first, again, return_exceptions=True)
    assert (await rows.prediction(row.id)).completed_at is not None


async def _is_running(rows: Rows, prediction_id: str) -> bool:
    return bool((await rows.prediction(prediction_id)).status == Status.PROCESSING)


@pytest.mark.parametrize(("predictor", "input"), [("exits", {"code": 3, "at_once": True}), ("raises", {})])
async def test_a_model_that_breaks_fails_its_prediction_with_a_sentence(
    settings: Settings, rows: Rows, host: Host, predictor: str, input: dict[str, Any]
) -> None:
    version_id = await installed(settings, rows, predictor)
    row = await rows.waiting(version_id=version_id, input=input)
    await host.predict(version_id, row.id)
    failed = await rows.prediction(row.id)
    assert failed.status == Status.FAILED
    assert failed.error
