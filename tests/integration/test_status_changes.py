"""Each step of a prediction is noted by the database itself, whoever makes it, and goes with the prediction's data."""

from typing import Any

from sqlalchemy import select

from shared import lifecycle
from shared.contract import Status
from shared.database import clock
from shared.lifecycle import Ending, Progress
from shared.settings import Settings
from shared.tables import Prediction, StatusChange
from tests.database_fixtures import Rows
from worker.retention import Retention


async def steps(rows: Rows, prediction_id: str) -> list[Any]:
    query = select(StatusChange.former, StatusChange.status, StatusChange.attempt, StatusChange.worker_id)
    query = query.where(StatusChange.prediction_id == prediction_id).order_by(StatusChange.id)
    async with rows.database.reading() as connection:
        return [tuple(step) for step in (await connection.execute(query)).all()]


async def finished(rows: Rows, row: Any) -> None:
    progress = Progress(row.id, row.attempt, "done", "", {})
    async with rows.database.transaction() as transaction:
        assert await lifecycle.finish(transaction, Ending(row, Status.SUCCEEDED, None, progress, row.started_at))


async def test_each_step_is_noted_with_its_attempt_and_worker(rows: Rows) -> None:
    first = await rows.running("one")
    again = await rows.claimed(await rows.redelivered(first), "two")
    await finished(rows, again)
    assert await steps(rows, first.id) == [
        (None, "starting", 0, None),
        ("starting", "processing", 1, "one"),
        ("processing", "starting", 1, None),
        ("starting", "processing", 2, "two"),
        ("processing", "succeeded", 2, "two"),
    ]


async def test_what_is_said_meanwhile_is_no_step(rows: Rows) -> None:
    row = await rows.running()
    async with rows.database.transaction() as transaction:
        await lifecycle.record(
            transaction, Progress(row.id, row.attempt, ["a"], "", {}), lifecycle.WebhookEvent.OUTPUT, 1
        )
    assert len(await steps(rows, row.id)) == 2


async def test_a_change_of_what_has_ended_is_noted_past_every_rule(rows: Rows) -> None:
    row = await rows.running()
    await finished(rows, row)
    await rows.change(Prediction, Prediction.id == row.id, error=None, output="done")
    assert len(await steps(rows, row.id)) == 3
    await rows.change(Prediction, Prediction.id == row.id, output="something else")
    assert (await steps(rows, row.id))[3:] == [("succeeded", "succeeded", 1, "worker")]


async def test_they_go_with_the_data_of_their_prediction(rows: Rows, settings: Settings) -> None:
    row = await rows.running()
    await finished(rows, row)
    await rows.change(Prediction, Prediction.id == row.id, completed_at=clock(-2 * settings.api_data_seconds))
    await Retention(settings, rows.database).apply()
    assert (await rows.prediction(row.id)).data_removed_at is not None
    assert await steps(rows, row.id) == []
