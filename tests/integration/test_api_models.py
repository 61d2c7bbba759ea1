"""Models over HTTP: made, described anew, listed in both orders, counted, and what is refused on the way."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared import run_counts
from shared.contract import Visibility
from shared.database import Database
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import Model, Prediction, Version
from tests.database_fixtures import Rows
from worker.sweep import Sweep

NEW = {"owner": "pinion", "name": "new", "visibility": "private", "hardware": "cpu"}
WORDS = {
    "description": "Draws *cats*",
    "github_url": "https://example.com/code",
    "paper_url": "http://example.com/paper.pdf",
    "license_url": "https://example.com/licence",
    "cover_image_url": "https://example.com/cat.webp?size=large",
}


async def made(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/v1/models", json={**NEW, **changes})


async def fields_of(answer: httpx.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    return [(field["field"], field["type"]) for field in answer.json()["invalid_fields"]]


async def test_a_new_model_has_what_was_said_and_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await made(client, **WORDS)
    assert answer.status_code == 201, answer.text
    shown = answer.json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "url": "http://pinion.test/pinion/new",
        "owner": "pinion",
        "name": "new",
        "visibility": "private",
        "rerun": "before_output",
        "is_official": False,
        "weights_url": None,
        "run_count": 0,
        "default_example": None,
        "latest_version": None,
        **WORDS,
    }
    found = (await client.get("/v1/models/pinion/new")).json()
    assert found.pop("created_at")
    assert found == shown


async def test_a_name_is_given_once_also_to_several_who_ask_at_once(client: httpx.AsyncClient, rows: Rows) -> None:
    answers = await asyncio.gather(*[made(client) for _ in range(5)])
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]
    assert await fields_of(await made(client)) == [("name", "unique")]
    assert await fields_of(await made(client, name="echo")) == [("name", "unique")]


@pytest.mark.parametrize("name", ["", "UPPER", "with space", "a/b", "-dash", "x" * 64, "nul\u0001", "größe", ".."])
async def test_a_name_that_no_address_could_hold_is_refused(client: httpx.AsyncClient, name: str) -> None:
    assert await fields_of(await made(client, name=name)) == [("name", "pattern")]


async def test_a_model_is_made_in_ones_own_account_only(client: httpx.AsyncClient, rows: Rows) -> None:
    await Rows.made(rows.database, "ada")
    answers = [await made(client, owner=owner) for owner in ("ada", "nobody")]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].json() == answers[1].json()
    assert "pinion/new" in answers[0].json()["detail"]


async def test_everything_that_is_missing_or_wrong_is_said_at_once(client: httpx.AsyncClient) -> None:
    assert await fields_of(await client.post("/v1/models", json={})) == [("", "required")] * 4
    wrong = {"visibility": "secret", "hardware": "GPU A100", "description": 5, "paper_url": "ftp://x", "readme": "#"}
    found = await fields_of(await made(client, **wrong))
    assert found == [
        ("visibility", "enum"),
        ("hardware", "pattern"),
        ("description", "invalid_type"),
        ("paper_url", "format"),
        ("", "additional_property_not_allowed"),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//example.com",
        "example.com",
        "https://",
        "https://exa mple.com",
        "https://example.com/\r\nx",
        "http://[::1",
        "https://example.com/" + "x" * 2048,
        "",
    ],
)
async def test_a_link_that_is_none_is_refused_in_words(client: httpx.AsyncClient, url: str) -> None:
    answer = await client.patch("/v1/models/pinion/echo", json={"github_url": url})
    assert await fields_of(answer) == [("github_url", "format")]
    assert answer.json()["detail"] == "- github_url: must be an http or https URL of up to 2048 characters\n"


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize(
    ("content", "status"), [(b"{", 400), (b"[]", 422), (b"", 422), (b'{"description": "\\u0000"}', 422), (b"\xff", 400)]
)
async def test_a_body_that_is_no_object_changes_nothing(
    client: httpx.AsyncClient, method: str, content: bytes, status: int
) -> None:
    path = "/v1/models" + ("/pinion/echo" if method == "PATCH" else "")
    before = (await client.get("/v1/models")).json()
    assert (await client.request(method, path, content=content)).status_code == status
    assert (await client.get("/v1/models")).json() == before


async def test_only_what_is_given_is_changed_and_null_takes_away(client: httpx.AsyncClient) -> None:
    await made(client, **WORDS)
    path = "/v1/models/pinion/new"
    changed = await client.patch(
        path, json={"weights_url": "https://example.com/w", "paper_url": None, "readme": "# ü"}
    )
    assert changed.status_code == 200, changed.text
    shown = changed.json()
    assert (shown["weights_url"], shown["paper_url"]) == ("https://example.com/w", None)
    assert {name: shown[name] for name in WORDS} == {**WORDS, "paper_url": None}
    assert shown["visibility"] == "private"
    assert (await client.patch(path, json={})).json() == shown == (await client.get(path)).json()
    assert (await client.patch(path, json={"visibility": "public"})).json()["visibility"] == "public"
    assert await fields_of(await client.patch(path, json={"visibility": None})) == [("visibility", "enum")]
    assert await fields_of(await client.patch(path, json={"name": "other"})) == [
        ("", "additional_property_not_allowed")
    ]


async def test_a_public_model_of_another_is_not_changed(client: httpx.AsyncClient, rows: Rows) -> None:
    await Rows.made(rows.database, "ada")
    before = (await client.get("/v1/models/ada/echo")).json()
    attempts = [
        await client.patch("/v1/models/ada/echo", json={"description": "mine"}),
        await client.delete("/v1/models/ada/echo"),
        await client.delete(f"/v1/models/ada/echo/versions/{before['latest_version']['id']}"),
        await client.post("/v1/models/ada/echo/examples", json={"prediction": (await rows.waiting()).id}),
    ]
    assert [answer.status_code for answer in attempts] == [403] * 4
    assert (await client.get("/v1/models/ada/echo")).json() == before


async def test_a_readme_is_plain_markdown_or_not_there(client: httpx.AsyncClient) -> None:
    path = "/v1/models/pinion/echo"
    assert (await client.get(f"{path}/readme")).status_code == 404
    await client.patch(path, json={"readme": "# Echo\n\ngrüßt <b>zurück</b>"})
    answer = await client.get(f"{path}/readme")
    assert (answer.status_code, answer.text) == (200, "# Echo\n\ngrüßt <b>zurück</b>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    await client.patch(path, json={"readme": None})
    assert (await client.get(f"{path}/readme")).status_code == 404


async def aged(rows: Rows, name: str, model_hours: int, version_hours: int | None) -> None:
    """A model that is so old, and its version, if it has one."""
    now = datetime(2026, 1, 1, tzinfo=UTC)
    others = await rows.one(Model, Model.name == name)
    version_id = None
    if version_hours is not None:
        moment = now - timedelta(hours=version_hours)
        version_id = await rows.add_version(model_id=others.id, created_at=moment)
    made_at = now - timedelta(hours=model_hours)
    await rows.change(Model, Model.id == others.id, created_at=made_at, latest_version_id=version_id)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "cadb"),
        ({"sort_direction": "asc"}, "bdac"),
        ({"sort_by": "latest_version_created_at", "sort_direction": "desc"}, "cadb"),
        ({"sort_by": "model_created_at"}, "dabc"),
        ({"sort_by": "model_created_at", "sort_direction": "asc"}, "cbad"),
    ],
)
async def test_models_are_listed_in_either_order_over_all_pages(
    client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], expected: str
) -> None:
    monkeypatch.setattr("api.routes.models.PAGE_SIZE", 2)
    for name in "abcd":
        await made(client, name=name)
    # d has no version and counts by its own age.
    for name, model_hours, version_hours in [("a", 20, 2), ("b", 30, 25), ("c", 40, 1), ("d", 10, None)]:
        await aged(rows, name, model_hours, version_hours)
    await rows.change(Model, Model.name == "echo", visibility=Visibility.PRIVATE, account_id=await _another(rows))
    address: str | None = str(httpx.URL("/v1/models", params=query))
    pages = []
    while address:
        pages.append((await client.get(address)).json())
        address = pages[-1]["next"]
    assert "".join(model["name"] for page in pages for model in page["results"]) == expected
    back = (await client.get(pages[-1]["previous"])).json()
    assert [model["name"] for model in back["results"]] == list(expected[:2])


async def _another(rows: Rows) -> str:
    return (await Rows.made(rows.database, "ada")).account_id


@pytest.mark.parametrize("query", [{"sort_by": "name"}, {"sort_direction": "up"}])
async def test_an_order_that_nobody_knows_is_refused(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    assert await fields_of(await client.get("/v1/models", params=query)) == [(next(iter(query)), "invalid_type")]


async def count(client: httpx.AsyncClient, name: str = "echo") -> int:
    answer = await client.get(f"/v1/models/pinion/{name}")
    return int(answer.json()["run_count"])


async def test_runs_are_counted_exactly_before_and_after_the_past_was_added_up(
    client: httpx.AsyncClient, rows: Rows, database: Database
) -> None:
    await rows.change(Model, Model.name == "echo", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    old = [(await rows.waiting()).id for _ in range(3)]
    assert await count(client) == 3
    await rows.change(Prediction, Prediction.id.in_(old), created_at=datetime(2026, 1, 2, tzinfo=UTC))
    await run_counts.add_up(database)
    assert (await rows.one(Model, Model.name == "echo")).run_count == 3
    await rows.waiting()
    await asyncio.gather(*[run_counts.add_up(database) for _ in range(3)])
    assert await count(client) == 4
    listed = (await client.get("/v1/models")).json()["results"]
    assert [model["run_count"] for model in listed] == [4]


async def test_the_sweep_adds_up_what_is_past(rows: Rows, database: Database, settings: Settings) -> None:
    await rows.change(Model, Model.name == "echo", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    row = await rows.ended()
    await rows.change(Prediction, Prediction.id == row.id, created_at=datetime(2026, 1, 2, tzinfo=UTC))
    await Sweep(settings, database, new_id()).tick()
    assert (await rows.one(Model, Model.name == "echo")).run_count == 1


async def test_a_model_does_not_inherit_the_runs_of_an_earlier_one_of_its_name(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await rows.waiting()
    await rows.change(Version, Version.id == rows.version_id, status="failed")
    await rows.change(Model, Model.name == "echo", visibility=Visibility.PRIVATE)
    assert (await client.delete("/v1/models/pinion/echo")).status_code == 204
    assert (await made(client, name="echo")).status_code == 201
    assert await count(client) == 0


async def test_when_predictions_are_run_again_is_set_shown_and_bounded_to_three_words(
    client: httpx.AsyncClient,
) -> None:
    assert (await made(client, rerun="always")).json()["rerun"] == "always"
    path = "/v1/models/pinion/new"
    for policy in ("never", "before_output", "always"):
        assert (await client.patch(path, json={"rerun": policy})).json()["rerun"] == policy
    for wrong, kind in (("sometimes", "enum"), (None, "enum"), (True, "enum")):
        answer = await client.patch(path, json={"rerun": wrong})
        assert await fields_of(answer) == [("rerun", kind)]
    assert "'never', 'before_output' or 'always'" in answer.json()["detail"]
    assert (await client.patch(path, json={"description": "new"})).json()["rerun"] == "always"
    assert (await client.get(path)).json()["rerun"] == "always"
