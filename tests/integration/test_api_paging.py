"""Lists come in pages that can be walked both ways, and a cursor we did not make is told so."""

import base64
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from shared.contract import VersionStatus
from shared.tables import Model, Prediction
from tests.database_fixtures import Rows

PATH = "/v1/predictions"


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("predictions", "models", "versions"):
        monkeypatch.setattr(f"api.routes.{room}.PAGE_SIZE", 3)


async def page_at(client: httpx.AsyncClient, address: str) -> Any:
    answer = await client.get(address)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def walked(client: httpx.AsyncClient, address: str | None, direction: str = "next") -> list[Any]:
    """All pages from an address on."""
    pages = []
    while address:
        pages.append(await page_at(client, address))
        address = pages[-1][direction]
        assert len(pages) < 20, "the pages go round in a circle"
    return pages


def ids(pages: list[Any]) -> list[str]:
    return [entry["id"] for page in pages for entry in page["results"]]


async def test_pages_follow_each_other_from_the_newest_to_the_oldest(client: httpx.AsyncClient, rows: Rows) -> None:
    made = [(await rows.waiting()).id for _ in range(8)]
    pages = await walked(client, PATH)
    assert [len(page["results"]) for page in pages] == [3, 3, 2]
    assert sorted(ids(pages)) == sorted(made)
    shown = [(entry["created_at"], entry["id"]) for page in pages for entry in page["results"]]
    assert shown == sorted(shown, reverse=True)


async def test_walking_back_shows_the_same_pages(client: httpx.AsyncClient, rows: Rows) -> None:
    for _ in range(8):
        await rows.waiting()
    forth = await walked(client, PATH)
    back = await walked(client, forth[-1]["previous"], "previous")
    assert [page["results"] for page in reversed(back)] == [page["results"] for page in forth[:-1]]
    again = await walked(client, back[-1]["next"])
    assert ids(again) == ids(forth[1:])


async def test_equal_moments_are_neither_lost_nor_repeated(client: httpx.AsyncClient, rows: Rows) -> None:
    made = [(await rows.waiting()).id for _ in range(7)]
    await rows.change(Prediction, Prediction.id.in_(made), created_at=_moment())
    assert ids(await walked(client, PATH)) == sorted(made, reverse=True)


def _moment() -> datetime:
    return datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_single_page_has_no_neighbours(client: httpx.AsyncClient, rows: Rows, count: int) -> None:
    for _ in range(count):
        await rows.waiting()
    page = await page_at(client, PATH)
    assert (page["next"], page["previous"], len(page["results"])) == (None, None, count)


async def test_a_page_full_to_the_last_place_is_followed_by_none(client: httpx.AsyncClient, rows: Rows) -> None:
    for _ in range(6):
        await rows.waiting()
    assert [len(page["results"]) for page in await walked(client, PATH)] == [3, 3]


async def test_what_is_new_does_not_shift_the_pages_behind_it(client: httpx.AsyncClient, rows: Rows) -> None:
    old = [(await rows.waiting()).id for _ in range(5)]
    first = await page_at(client, PATH)
    await rows.waiting()
    await rows.waiting()
    second = await page_at(client, first["next"])
    assert set(ids([first, second])) == set(old)


async def test_filters_are_kept_from_page_to_page(client: httpx.AsyncClient, rows: Rows) -> None:
    made = [(await rows.waiting()).id for _ in range(9)]
    for hour, prediction_id in enumerate(made):
        moment = datetime(2026, 1, 1, hour, 30, tzinfo=UTC)
        await rows.change(Prediction, Prediction.id == prediction_id, created_at=moment)
    limits = {"created_after": "2026-01-01T03:00:00+02:00", "created_before": "2026-01-01T08:30:00Z"}
    first = await client.get(PATH, params=limits)
    pages = await walked(client, str(first.request.url))
    assert ids(pages) == made[7:0:-1]
    assert httpx.URL(pages[0]["next"]).params["created_after"] == limits["created_after"]
    back = await walked(client, pages[-1]["previous"], "previous")
    assert ids(list(reversed(back))) == ids(pages[:-1])


async def test_addresses_of_pages_are_whole_and_start_with_the_configured_one(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    for _ in range(4):
        await rows.waiting()
    for path in ("/predictions", PATH, f"/v1{PATH}"):
        assert (await page_at(client, path))["next"].startswith(f"http://pinion.test{PATH}?cursor=")


async def test_nobody_sees_the_predictions_of_another_account(client: httpx.AsyncClient, rows: Rows) -> None:
    other = await Rows.made(rows.database, "other")
    hidden = await other.waiting()
    mine = await rows.waiting()
    assert ids([await page_at(client, PATH)]) == [mine.id]
    assert (await client.get(f"{PATH}/{hidden.id}")).status_code == 404


async def test_versions_and_models_come_in_pages_too(client: httpx.AsyncClient, rows: Rows) -> None:
    versions = {rows.version_id, *[await rows.add_version() for _ in range(4)]}
    await rows.add_version(status=VersionStatus.BUILDING)
    pages = await walked(client, "/v1/models/pinion/echo/versions")
    assert [len(page["results"]) for page in pages] == [3, 2]
    assert set(ids(pages)) == versions
    for number in range(4):
        await Rows.made(rows.database, f"owner{number}")
    models = await walked(client, "/v1/models")
    assert [len(page["results"]) for page in models] == [3, 2]
    assert {entry["owner"] for page in models for entry in page["results"]} == {
        "pinion",
        *(f"owner{n}" for n in range(4)),
    }


async def test_a_private_model_is_listed_for_its_owner_only(client: httpx.AsyncClient, rows: Rows) -> None:
    other = await Rows.made(rows.database, "other")
    for owner in (rows, other):
        await rows.change(Model, Model.id == owner.model_id, visibility="private")
    page = await page_at(client, "/v1/models")
    assert [entry["owner"] for entry in page["results"]] == ["pinion"]
    assert (await client.get("/v1/models/other/echo")).status_code == 404


async def test_the_models_of_a_list_carry_their_newest_version_and_their_runs(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    for _ in range(2):
        await rows.waiting()
    [model] = (await page_at(client, "/v1/models"))["results"]
    assert (model["run_count"], model["latest_version"]["id"]) == (2, rows.version_id)
    await rows.change(Model, Model.id == rows.model_id, latest_version_id=None)
    [model] = (await page_at(client, "/v1/models"))["results"]
    assert model["latest_version"] is None


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(parts)).decode()


@pytest.mark.parametrize(
    "tampered",
    [
        "x",
        "%F0%9F%A6%80",
        "AAAA",
        "gw==",
        "....",
        cursor(False),
        cursor(False, "yesterday", "id"),
        cursor(False, datetime(2026, 1, 1, tzinfo=UTC), 5),
        cursor("no", datetime(2026, 1, 1, tzinfo=UTC), "id"),
        cursor(False, datetime(2026, 1, 1, tzinfo=UTC), "id", "more")[:-6],
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(client: httpx.AsyncClient, tampered: str) -> None:
    answer = await client.get(f"{PATH}?cursor={tampered}")
    assert answer.status_code == 400, answer.text
    assert "cursor" in answer.json()["detail"]


@pytest.mark.parametrize(
    "forged",
    [
        cursor(False, datetime(2026, 1, 1), "id"),
        cursor(False, datetime(2026, 1, 1, tzinfo=UTC), "\0"),
        cursor(True, datetime(2026, 1, 1, tzinfo=UTC), "x" * 10_000),
        cursor(False, datetime(1, 1, 1, tzinfo=UTC), ""),
        cursor(True, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), ""),
        cursor(False, "0001-01-01T00:00:00+14:00", "id"),
        cursor(False, "9999-12-31T23:59:59-14:00", "id"),
    ],
)
async def test_a_forged_cursor_breaks_nothing(client: httpx.AsyncClient, rows: Rows, forged: str) -> None:
    await rows.waiting()
    assert (await client.get(PATH, params={"cursor": forged})).status_code in (200, 400)


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00", "1e30", "-1", "never", "%00"],
)
@pytest.mark.parametrize("name", ["created_after", "created_before"])
async def test_a_moment_at_the_end_of_time_breaks_nothing(
    client: httpx.AsyncClient, rows: Rows, name: str, moment: str
) -> None:
    await rows.waiting()
    assert (await client.get(PATH, params={name: moment})).status_code in (200, 400, 422)
