"""A model may bring any Python from 3.8 on: the runtime does all it does there too."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.model_processes import PREDICTORS, Heard, Start, run
from tests.pythons import other_pythons
from worker.health import Health
from worker.process import ModelProcess

every_python = pytest.mark.parametrize("python", other_pythons())


@every_python
async def test_predictions_run_stream_and_are_canceled(start: Start, python: Path):
    for predictor in ("echo", "async_echo"):
        assert (await run(await start(predictor, python=python), text="hallo")).output == "hallo"
    for predictor in ("counts_slowly", "async_counts"):
        counting, heard = await start(predictor, python=python), Heard()
        running = asyncio.create_task(run(counting, heard, to=3, seconds=60))
        await heard.until(lambda heard: bool(heard.items))
        counting.cancel("p1")
        assert (await running).predict_time is not None


@every_python
@pytest.mark.parametrize("model", ["runs_together", "runs_together_in_threads"])
async def test_several_at_once_keep_their_logs(start: Start, python: Path, model: str):
    process = await start(model, python=python)
    heard = {name: Heard() for name in ("ann", "bob", "cid")}
    await asyncio.gather(*(process.predict(name, _together(name), said.take) for name, said in heard.items()))
    for name, said in heard.items():
        assert said.items == [f"{name}{number}" for number in range(3)]
        assert said.logs.endswith(f"the end of {name}")
        assert len({word for word in said.logs.split() if word in heard}) == 1


def _together(name: str) -> dict[str, Any]:
    return {"name": name, "together": 3}


@every_python
async def test_what_is_printed_is_heard_in_order(start: Start, python: Path):
    heard = Heard()
    await run(await start("prints_everywhere", python=python), heard)
    assert heard.logs == "python\nerror\nraw é\nchild\nc\n10%\r20%\rno end of line"


@every_python
async def test_healthcheck_training_and_secrets(start: Start, python: Path):
    assert await (await start("is_well_if_told", python=python)).healthcheck() == Health(True)
    assert await (await start("is_well_async", python=python)).healthcheck() == Health(True)
    assert (await run(await start("trains_in_a_class", python=python, mode="train"), steps=2)).output == 42
    heard = Heard()
    await run(await start("tells_its_secret", python=python), heard, password="sesame")
    assert "**********" in heard.logs
    assert "sesame" not in heard.logs


@every_python
async def test_the_document_is_the_same_as_under_our_own_python(start: Start, python: Path):
    for predictor in ("can_be_trained", "tells_its_secret", "runs_together"):
        theirs, ours = await start(predictor, python=python), await ModelProcess.start(PREDICTORS / predictor)
        assert theirs.schema == ours.schema
        await ours.stop()
