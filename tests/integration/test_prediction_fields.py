"""Every field of a prediction over its life: which are there, which may be null, and what they hold.

A table in the columns of Replicate's own documentation; what is not in it must not be shown.
"""

from typing import Any

import httpx
import pytest
from sqlalchemy import Row

from shared import lifecycle
from shared.contract import Status, WebhookEvent
from shared.database import clock
from shared.lifecycle import Ending, Progress
from shared.settings import Settings
from shared.tables import Prediction, WebhookMessage
from tests.database_fixtures import Rows
from worker.retention import Retention

ABSENT = object()
"""The key is not there at all."""
MOMENT, TEXT, NUMBERS, URL = "a moment", "a text", "numbers", "an address"
STAGES = ("starting", "processing", "streaming", "succeeded", "failed", "canceled", "never begun", "aborted", "removed")

# Per stage of STAGES, in its order.
TABLE: dict[str, tuple[Any, ...]] = {
    "id": (TEXT,) * 9,
    "model": ("pinion/echo",) * 9,
    "version": (TEXT,) * 9,
    "source": ("api",) * 9,
    "created_at": (MOMENT,) * 9,
    "deadline": (MOMENT,) * 9,
    "input": (*({"text": "hello"},) * 8, {}),
    "status": ("starting", "processing", "processing", *STAGES[3:6], "canceled", "canceled", "succeeded"),
    "output": (ABSENT, ABSENT, ["a"], ["a", "b"], None, None, None, None, None),
    "logs": ("", "", "one\n", "one\ntwo\n", "one\ntwo\n", "one\ntwo\n", "", "", ""),
    "error": (None, None, None, None, "It broke.", None, None, TEXT, None),
    "started_at": (ABSENT, *(MOMENT,) * 5, ABSENT, ABSENT, MOMENT),
    "completed_at": (*(ABSENT,) * 3, *(MOMENT,) * 6),
    "metrics": (*(ABSENT,) * 3, *(NUMBERS,) * 6),
    "data_removed": (*(False,) * 8, True),
    "webhook": ("http://127.0.0.1:9/",) * 9,
    "webhook_events_filter": (["completed"],) * 9,
    "urls.get": (URL,) * 9,
    "urls.cancel": (URL,) * 9,
    "urls.web": (URL,) * 9,
    "urls.stream": (*(URL,) * 8, ABSENT),
}


async def ended(rows: Rows, row: Row[Any], status: Status) -> None:
    output = ["a", "b"] if status == Status.SUCCEEDED else None
    error = "It broke." if status == Status.FAILED else None
    metrics = {"predict_time": 0.5, "output_token_count": 2}
    ending = Ending(row, status, error, Progress(row.id, row.attempt, output, "one\ntwo\n", metrics), row.started_at)
    async with rows.database.transaction() as transaction:
        assert await lifecycle.finish(transaction, ending)


async def at_stage(rows: Rows, settings: Settings, stage: str) -> str:
    """The id of a prediction that has come this far."""
    row = await rows.waiting(
        streams=True, webhook="http://127.0.0.1:9/", webhook_events=(WebhookEvent.COMPLETED,), lifetime_seconds=60
    )
    if stage in ("never begun", "aborted"):
        await rows.change(Prediction, Prediction.id == row.id, deadline=clock(-1))
        change = lifecycle.expire if stage == "aborted" else lifecycle.cancel
        async with rows.database.transaction() as transaction:
            await change(transaction, row.id)
    elif stage != "starting":
        await _run_to(rows, settings, await rows.claimed(row), stage)
    return str(row.id)


async def _run_to(rows: Rows, settings: Settings, row: Row[Any], stage: str) -> None:
    if stage == "streaming":
        async with rows.database.transaction() as transaction:
            progress = Progress(row.id, row.attempt, ["a"], "one\n", {})
            assert await lifecycle.record(transaction, progress, WebhookEvent.OUTPUT, 1)
    elif stage != "processing":
        await ended(rows, row, Status.SUCCEEDED if stage == "removed" else Status(stage))
    if stage == "removed":
        await rows.change(WebhookMessage, WebhookMessage.prediction_id == row.id, state="delivered")
        await rows.change(Prediction, Prediction.id == row.id, completed_at=clock(-7200))
        await Retention(settings, rows.database).apply()


def flat(shown: dict[str, Any]) -> dict[str, Any]:
    urls = {f"urls.{name}": value for name, value in shown["urls"].items()}
    return {**{name: value for name, value in shown.items() if name != "urls"}, **urls}


def is_as_expected(value: Any, expected: Any) -> bool:
    match expected:
        case "a moment":
            return isinstance(value, str) and value.endswith("Z")
        case "a text":
            return isinstance(value, str) and value != ""
        case "numbers":
            return {"total_time"} <= value.keys() and all(isinstance(each, int | float) for each in value.values())
        case "an address":
            return isinstance(value, str) and value.startswith("http://pinion.test/")
        case _:
            return bool(value == expected)


@pytest.mark.parametrize("stage", STAGES)
async def test_the_fields_at(client: httpx.AsyncClient, rows: Rows, settings: Settings, stage: str) -> None:
    prediction_id = await at_stage(rows, settings, stage)
    shown = flat((await client.get(f"/v1/predictions/{prediction_id}")).json())
    expected = {name: values[STAGES.index(stage)] for name, values in TABLE.items()}
    assert set(shown) == {name for name, value in expected.items() if value is not ABSENT}
    wrong = {name: value for name, value in shown.items() if not is_as_expected(value, expected[name])}
    assert wrong == {}
    if stage in ("succeeded", "failed", "canceled"):
        assert shown["metrics"]["total_time"] >= shown["metrics"]["predict_time"] == 0.5


async def test_what_was_not_asked_for_is_not_shown(client: httpx.AsyncClient, rows: Rows) -> None:
    shown = flat((await client.get(f"/v1/predictions/{(await rows.waiting()).id}")).json())
    left_out = {"deadline", "webhook", "webhook_events_filter", "urls.stream"}
    expected = {name for name, values in TABLE.items() if values[0] is not ABSENT}
    assert set(shown) == expected - left_out


async def test_a_list_and_a_create_show_the_same_as_a_look_at_one(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {"text": "hi"}}
    made = (await client.post("/v1/predictions", json=body, headers={"Cancel-After": "5m"})).json()
    assert (await client.get(f"/v1/predictions/{made['id']}")).json() == made
    assert (await client.get("/v1/predictions")).json()["results"] == [made]
