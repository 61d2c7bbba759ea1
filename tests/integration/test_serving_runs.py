"""Predictions of `pinion serve` on a real model process, canceled at moments a client cannot choose."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.files import Files
from serving.interface import Interface
from serving.model import Health, Model
from serving.options import read_options
from serving.outside import Outside
from serving.prediction import Prediction
from serving.runs import Runs
from serving.webhooks import Webhooks
from serving.wish import read_wish
from shared.tasks import end
from tests.model_processes import PREDICTORS, until

WITH_A_FILE = b'{"id": "p1", "input": {"source": "data:,words"}}'


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncIterator[Runs]:
    outside = Outside()
    files = Files(outside, None)
    model = Model(read_options([str(PREDICTORS / "copies_files"), "--home", str(tmp_path)]), files.download)
    keeper = asyncio.create_task(model.keep())
    await until(lambda: model.health == Health.READY)
    yield Runs(model, files, Webhooks(outside, timedelta(seconds=1), ""), 0)
    await end(keeper)
    await model.stop()
    await outside.close()


async def begun(runs: Runs) -> Prediction:
    return await runs.begin(read_wish(WITH_A_FILE, {}, runs.interface()))


async def ended_canceled(runs: Runs, prediction: Prediction) -> None:
    async with asyncio.timeout(10):
        await prediction.ended
    assert (prediction.status, prediction.rendered()["logs"]) == ("canceled", ""), "the model never heard of it"
    again = await begun(runs)
    await again.ended
    assert again.status == "succeeded"


async def test_a_cancel_before_anything_has_been_done_is_not_lost(runs: Runs) -> None:
    prediction = await begun(runs)
    assert runs.cancel("p1")
    await ended_canceled(runs, prediction)


async def test_a_cancel_while_its_files_are_fetched_is_not_lost(runs: Runs) -> None:
    prediction = await begun(runs)
    await asyncio.sleep(0)  # now a thread makes their folder
    assert runs.cancel("p1")
    assert runs.cancel("p1"), "again does no harm"
    await ended_canceled(runs, prediction)


async def test_a_cancel_between_the_last_file_and_the_model_is_not_lost(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    interface = runs.interface()

    def with_files(*given: Any) -> Any:
        runs.cancel("p1")
        return Interface.with_files(interface, *given)

    with monkeypatch.context() as patched:
        patched.setattr(interface, "with_files", with_files)
        prediction = await begun(runs)
        async with asyncio.timeout(10):
            await prediction.ended
    await ended_canceled(runs, prediction)
