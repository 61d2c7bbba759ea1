"""Lists of predictions by status, model, version, source and date; pages keep what was asked for."""

from typing import Any

import httpx
import pytest

from shared.contract import Status
from shared.database import clock
from shared.tables import Prediction
from tests.database_fixtures import Rows

PATH = "/v1/predictions"


async def listed(client: httpx.AsyncClient, **query: str) -> set[str]:
    """All that the pages hold, however many there are."""
    address, found = str(httpx.URL(PATH, params=query)), set()
    while address:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        found |= {entry["id"] for entry in answer.json()["results"]}
        address = answer.json()["next"]
    return found


@pytest.fixture
async def made(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Ids of predictions by what is special about each."""
    monkeypatch.setattr("api.routes.predictions.PAGE_SIZE", 2)
    other_version = await rows.add_version()
    found = {
        "waiting": await rows.waiting(),
        "running": await rows.running(),
        "canceled": await rows.ended(),
        "version": await rows.waiting(version_id=other_version),
        "model": await rows.waiting(model="pinion/other"),
        "deployment": await rows.waiting(deployment="pinion/live"),
        "web": await rows.waiting(source="web"),
        "old web": await rows.waiting(source="web"),
    }
    await rows.change(Prediction, Prediction.id == found["old web"].id, created_at=clock(-15 * 86_400))
    return {name: row.id for name, row in found.items()} | {"of version": other_version}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "starting"}, {"waiting", "version", "model", "deployment", "web", "old web"}),
        ({"status": "processing"}, {"running"}),
        ({"status": "canceled"}, {"canceled"}),
        ({"status": "succeeded"}, set()),
        ({"status": "aborted"}, set()),
        ({"model": "pinion/other"}, {"model"}),
        ({"model": "nobody/nothing"}, set()),
        ({"version": "of version"}, {"version"}),
        ({"version": "0" * 64}, set()),
        ({"deployment": "pinion/live"}, {"deployment"}),
        ({"deployment": "pinion/other"}, set()),
        ({"source": "web"}, {"web"}),
        ({"status": "starting", "source": "web"}, {"web"}),
        ({"status": "starting", "model": "pinion/echo", "version": "of version"}, {"version"}),
        ({"created_before": "2020-01-01T00:00:00Z"}, set()),
        ({"created_after": "2020-01-01", "model": "pinion/other"}, {"model"}),
        ({"created_after": "2020-01-01 12:00", "model": "pinion/other"}, {"model"}),
        ({"created_after": "2020-01-01T00:00:00.5 01:00", "model": "pinion/other"}, {"model"}),  # as + arrives
    ],
)
async def test_a_filter_shows_what_it_names_on_all_pages(
    client: httpx.AsyncClient, made: dict[str, str], query: dict[str, str], names: set[str]
) -> None:
    asked = {name: made[value] if value == "of version" else value for name, value in query.items()}
    assert await listed(client, **asked) == {made[name] for name in names}


async def test_a_filter_given_twice_does_no_harm(client: httpx.AsyncClient, made: dict[str, str]) -> None:
    page = (await client.get(PATH, params={"status": "starting"})).json()
    twice = (await client.get(f"{page['next']}&status=starting")).json()
    assert twice["results"] == (await client.get(page["next"])).json()["results"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"status": "queued"}, 422),
        ({"source": "api"}, 422),
        ({"source": "desktop"}, 422),
        ({"created_after": "yesterday"}, 422),
        ({"created_after": "20261127"}, 422),
        ({"created_before": "0.5"}, 422),
        ({"model": "a\0b"}, 422),
        ({"model": ""}, 422),
        ({"version": "x" * 256}, 422),
        ({"version": "ü"}, 422),
        ({"cursor": "garbage", "status": "starting"}, 400),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_named(
    client: httpx.AsyncClient, rows: Rows, query: dict[str, Any], status: int
) -> None:
    answer = await client.get(PATH, params=query)
    assert answer.status_code == status
    if status == 422:
        assert [entry["field"] for entry in answer.json()["invalid_fields"]] == list(query)


async def test_filters_find_nothing_of_another_account(client: httpx.AsyncClient, rows: Rows) -> None:
    other = await Rows.made(rows.database, "ada")
    row = await other.waiting()
    for query in ({"status": Status.STARTING}, {"model": row.model}, {"version": row.version_id}):
        assert await listed(client, **query) == set()
