"""A page of a list ends early where its rows are large, and the next one goes on exactly there."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.contract import Kind
from shared.database import clock
from shared.tables import Prediction, Version
from tests.database_fixtures import Rows

LIMIT = 10_000
SIZES = (0, 4_000, 4_000, 4_000, 50_000, 0, 0, 30_000, 9_000, 9_000, 0)
"""From the newest to the oldest."""


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.paging.PAGE_BYTES", LIMIT)


async def walked(client: httpx.AsyncClient, address: str | None, direction: str = "next") -> list[list[str]]:
    """The ids on all pages from an address on."""
    pages: list[list[str]] = []
    while address:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        pages.append([entry["id"] for entry in answer.json()["results"]])
        address = answer.json()[direction]
        assert len(pages) <= len(SIZES), "the pages go round in a circle"
    return pages


async def made(rows: Rows, column: str, value: Any, **changes: Any) -> list[str]:
    """Predictions whose values are as large as `SIZES` says."""
    ids = [(await rows.waiting(**changes)).id for _ in SIZES]
    for age, (prediction_id, size) in enumerate(zip(ids, SIZES, strict=True)):
        values = {column: value(size), "created_at": clock(-float(age))}
        await rows.change(Prediction, Prediction.id == prediction_id, **values)
    return ids


LARGE = {
    "input": lambda size: {"text": "x" * size},
    "output": lambda size: ["ä" * (size // 10)] * 5 if size else None,
    "logs": lambda size: "x" * size,
}


@pytest.mark.parametrize("column", LARGE)
@pytest.mark.parametrize(
    ("path", "changes"),
    [("/v1/predictions", {}), ("/v1/trainings", {"kind": Kind.TRAINING, "destination": "pinion/echo"})],
)
async def test_a_page_ends_where_it_is_full_and_the_next_goes_on_there(
    client: httpx.AsyncClient, rows: Rows, path: str, changes: dict[str, Any], column: str
) -> None:
    ids = await made(rows, column, LARGE[column], **changes)
    expected = [ids[0:4], ids[4:5], ids[5:8], ids[8:10], ids[10:]]
    assert await walked(client, path) == expected


async def test_walking_back_misses_nothing_and_repeats_nothing(client: httpx.AsyncClient, rows: Rows) -> None:
    ids = await made(rows, "output", LARGE["output"])
    address, last = "/v1/predictions", None
    while address:
        last = (await client.get(address)).json()
        address = last["next"]
    assert last is not None
    pages = await walked(client, last["previous"], "previous")
    assert [each for page in reversed(pages) for each in page] == ids[:10]
    assert [len(page) for page in pages] == [2, 1, 3, 3, 1]


async def test_a_page_is_full_by_rows_too(
    client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.routes.predictions.PAGE_SIZE", 3)
    ids = await made(rows, "output", LARGE["output"])
    assert await walked(client, "/v1/predictions") == [ids[0:3], ids[3:5], ids[5:8], ids[8:10], ids[10:]]


async def test_filters_and_equal_moments_are_kept_over_early_ends(client: httpx.AsyncClient, rows: Rows) -> None:
    ids = await made(rows, "logs", LARGE["logs"])
    await rows.ended(input={"text": "x" * LIMIT})
    await rows.change(Prediction, Prediction.id.in_(ids), created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))
    pages = await walked(client, "/v1/predictions?status=starting")
    assert [each for page in pages for each in page] == sorted(ids, reverse=True)
    assert len(pages) >= 3


async def test_large_examples_come_in_smaller_pages(client: httpx.AsyncClient, rows: Rows) -> None:
    ids = (await made(rows, "output", LARGE["output"]))[::-1]
    for number, prediction_id in enumerate(ids):
        await rows.change(Prediction, Prediction.id == prediction_id, example_since=clock(number))
    pages = await walked(client, "/v1/models/pinion/echo/examples")
    assert [each for page in pages for each in page] == ids
    assert [len(page) for page in pages] == [3, 1, 3, 3, 1]


async def test_versions_with_large_schemas_come_in_smaller_pages(client: httpx.AsyncClient, rows: Rows) -> None:
    schema = {"openapi": "3.0.2", "components": {"schemas": {}}, "info": {"description": "x" * LIMIT}}
    newer = [await rows.add_version(openapi_schema=schema) for _ in range(3)]
    await rows.change(Version, Version.id == rows.version_id, created_at=clock(-60))
    for age, version_id in enumerate(newer):
        await rows.change(Version, Version.id == version_id, created_at=clock(-float(age)))
    pages = await walked(client, "/v1/models/pinion/echo/versions")
    assert pages == [[each] for each in (*newer, rows.version_id)]
