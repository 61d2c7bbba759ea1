"""healthcheck() of a model: asked while it predicts, with a limit, and never in the way of a prediction."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.model_processes import Heard, Start, run
from worker import health
from worker.health import Health, HealthCheck

SAID_NO = "Healthcheck failed: user-defined healthcheck returned False"
TIMED_OUT = "Healthcheck failed: user-defined healthcheck timed out after 5.0 seconds"


async def test_a_model_without_a_healthcheck_is_well_as_long_as_it_lives(start: Start):
    process = await start("echo")
    assert not process.has_healthcheck
    assert await process.healthcheck() == Health(True)
    await process.stop()
    assert await process.healthcheck() == Health(False, "The model process was stopped.")


@pytest.mark.parametrize(
    ("answer", "health"),
    [
        ("yes", Health(True)),
        ("no", Health(False, SAID_NO)),
        ("the GPU has fallen off", Health(False, "Healthcheck failed: the GPU has fallen off")),
    ],
)
async def test_a_sync_healthcheck_is_answered_before_during_and_after_a_prediction(
    start: Start, answer: str, health: Health
):
    process = await start("is_well_if_told")
    assert await process.healthcheck() == Health(True)
    heard = Heard()
    running = asyncio.create_task(run(process, heard, answer=answer, seconds=60))
    await heard.until(lambda heard: heard.logs == "begun\n")
    assert await process.healthcheck() == health
    assert (await asyncio.gather(process.healthcheck(), process.healthcheck())) == [health, health]
    process.cancel("p1")
    await running
    assert await process.healthcheck() == health
    assert heard.logs == "begun\n"  # what the healthcheck prints is not the prediction's
    assert set(process.stray_logs.split()) == {"asked"}


@pytest.mark.parametrize(("answer", "health"), [("yes", Health(True)), ("no", Health(False, SAID_NO))])
async def test_an_async_healthcheck_is_answered_beside_a_prediction(start: Start, answer: str, health: Health):
    process = await start("is_well_async")
    heard = Heard()
    running = asyncio.create_task(run(process, heard, answer=answer, seconds=60))
    await heard.until(lambda heard: bool(heard.logs))
    assert await process.healthcheck() == health
    process.cancel("p1")
    await running


async def test_a_healthcheck_that_hangs_is_no_answer(start: Start, monkeypatch: pytest.MonkeyPatch):
    assert timedelta(seconds=5) == health.LIMIT
    process = await start("is_well_async")
    process._health._limit = timedelta(milliseconds=100)
    await run(process, answer="hang")
    assert await process.healthcheck() == Health(False, TIMED_OUT)
    assert await process.healthcheck() == Health(False, TIMED_OUT)
    assert (await run(process, answer="yes")).output == "yes"


async def test_a_process_that_dies_is_not_well(start: Start):
    process = await start("is_well_async")
    await run(process, answer="hang")
    asking = asyncio.create_task(process.healthcheck())
    await asyncio.sleep(0)
    await process.stop(timedelta(0))
    assert await asking == Health(False, "The model process was stopped.")


async def test_an_answer_that_comes_too_late_is_an_answer_to_none():
    sent: list[dict[str, Any]] = []
    check = HealthCheck(sent.append, timedelta(milliseconds=10))
    assert await check.ask() == Health(False, TIMED_OUT)
    asking = asyncio.create_task(check.ask())
    await asyncio.sleep(0)
    check.hear(1, "the answer to the first question")
    check.hear(2, None)
    assert await asking == Health(True)
    assert [frame["number"] for frame in sent] == [1, 2]
