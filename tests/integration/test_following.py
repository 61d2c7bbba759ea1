"""Who follows a stream gets every item once and in order, and soon, whatever is lost on the way."""

import asyncio
from contextlib import aclosing

import httpx
import pytest

from api import waiting
from shared.live import Chunk
from shared.tables import Prediction
from tests.database_fixtures import Rows


async def test_after_a_loss_a_stream_goes_on_as_soon_as_the_row_has_what_was_lost(
    client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.waiting.LOOK_AGAIN_SECONDS", 0.05)
    row = await rows.running(streams=True)
    services = client._transport.app.state.services  # type: ignore[attr-defined]
    async with asyncio.timeout(10), aclosing(waiting.output_items(services, row, 1, 0)) as told:
        await rows.database.send([Chunk(row.id, 1, 0, ["a"]), Chunk(row.id, 1, 2, ["c"])])
        assert [await anext(told), await anext(told)] == [Chunk(row.id, 1, 0, ["a"]), None]
        await rows.database.send([Chunk(row.id, 1, 3, ["d"])])
        assert await anext(told) is None
        await rows.change(Prediction, Prediction.id == row.id, output=["a", "b"])
        await rows.database.send([Chunk(row.id, 1, 4, ["e"])])
        items: list[str] = []
        while items != ["b", "c", "d", "e"]:
            chunk = await anext(told)
            items += chunk.values if chunk else []
