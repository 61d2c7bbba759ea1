"""What a receiver is told of a prediction that is too large to be told whole."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import Row

from shared import lifecycle, rendering
from shared.contract import Status, WebhookEvent
from shared.lifecycle import Ending, Progress
from shared.webhook_bodies import BYTES_MAX
from tests.database_fixtures import Rows

MIB = 1 << 20
ENDED = {"webhook": "http://127.0.0.1:9/hook", "webhook_events": (WebhookEvent.COMPLETED,)}


async def told(rows: Rows, row: Row[Any], output: Any, logs: str) -> tuple[dict[str, Any], int]:
    """The body of its end, and its size."""
    async with rows.database.transaction() as transaction:
        progress = Progress(row.id, row.attempt, output, logs, {})
        assert await lifecycle.finish(transaction, Ending(row, Status.SUCCEEDED, None, progress, row.started_at))
    [message] = await rows.messages(row.id)
    return msgspec.json.decode(message.body), len(message.body)


async def test_a_body_below_the_bound_is_the_whole_prediction(rows: Rows) -> None:
    row = await rows.running(**ENDED)
    body, size = await told(rows, row, "x" * (4 * MIB), "y" * (MIB // 2))
    assert 4 * MIB < size < BYTES_MAX
    assert body == rendering.prediction(await rows.prediction(row.id), rows.database.address)


@pytest.mark.parametrize(
    ("output", "logs", "input", "left_out"),
    [
        (4 * MIB, 2 * MIB, 10, []),
        (6 * MIB, 10, 10, ["output"]),
        (6 * MIB, 2 * MIB, 10, ["output"]),
        (10, 10, 6 * MIB, ["output", "input"]),
        (6 * MIB, 2 * MIB, 6 * MIB, ["output", "input"]),
    ],
)
async def test_of_a_larger_one_the_logs_are_cut_then_output_and_input_left_out_and_the_logs_say_so(
    rows: Rows, output: int, logs: int, input: int, left_out: list[str]
) -> None:
    row = await rows.running(input={"text": "i" * input}, **ENDED)
    body, size = await told(rows, row, "o" * output, "l" * logs + "end")
    assert size <= BYTES_MAX
    whole = rendering.prediction(await rows.prediction(row.id), rows.database.address)
    note, _, kept = body["logs"].partition("\n")
    assert whole["urls"]["get"] in note
    assert [name for name in ("output", "input") if f"no {name}" in note] == left_out
    assert kept == whole["logs"][-65_536:]
    instead = {name: {"output": None, "input": {}}[name] for name in left_out}
    assert body == {**whole, **instead, "logs": body["logs"]}
