"""One prediction from its queue entry to its end, on real model processes; whatever goes wrong, it ends."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from shared.contract import Status
from shared.database import Database
from shared.live import Feed
from shared.queue import predict_queue
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import PROJECT, Rows, until
from worker.app import BellWorker
from worker.environment import Environments
from worker.ledger import Ledger
from worker.predict import Predictor
from worker.presence import Presence
from worker.residency import Residency


class Host:
    """A worker without its queues: jobs are handed to it by the test."""

    def __init__(self, settings: Settings, database: Database, feed: Feed) -> None:
        self.settings = settings
        self.database = database
        self.residency = Residency(
            settings.home, timedelta(seconds=settings.setup_seconds), Environments(settings.home, timedelta(hours=1))
        )
        self.presence = Presence(settings, database, feed, self.residency.cancel)
        self.presence.id = "worker"
        self.ledger = Ledger(database, self.presence)
        self.queue: BellWorker | None = None

    async def predict(self, version_id: str, prediction_id: str, delivery: int = 1) -> None:
        predictor = Predictor(self.settings, self.database, self.ledger, self.residency.resident(version_id))
        queue = predict_queue(version_id)
        seats = BellWorker(self.database.redis, self.database.redis, queue, "predict", predictor.predict, 1)
        await predictor.predict(seats, prediction_id, delivery)


@pytest_asyncio.fixture
async def host(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[Host]:
    host = Host(settings, database, feed)
    yield host
    await host.residency.stop()


async def installed(settings: Settings, rows: Rows, predictor: str, **changes: bool) -> str:
    """A version that is one of the predictors for tests."""
    version_id = await rows.add_version(**changes)
    shutil.copytree(PROJECT / "tests" / "predictors" / predictor, version_folder(settings.home, version_id))
    return version_id


async def test_a_prediction_is_run_and_ended(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, "counts_slowly", is_iterator=True)
    row = await rows.waiting(version_id=version_id, streams=True, input={"to": 3, "seconds": 0})
    await host.predict(version_id, row.id)
    ended = await rows.prediction(row.id)
    assert (ended.status, ended.output, ended.attempt) == (Status.SUCCEEDED, ["1 ", "2 ", "3 "], 1)
    assert ended.metrics["predict_time"] >= 0


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
