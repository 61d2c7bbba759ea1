"""Examples: predictions their model's owner shows, in the model and in a list, kept with their files for as long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared import files
from shared.contract import Status, Visibility
from shared.database import clock
from shared.examples import BYTES_MAX
from shared.file_store import Incoming
from shared.files import Description
from shared.settings import Settings
from shared.tables import File, Model, Prediction
from tests.database_fixtures import TOKEN, Rows

MODEL = "/v1/models/pinion/echo"
EXAMPLES = f"{MODEL}/examples"
ADAS_TOKEN = "r8_" + "a" * 37


async def succeeded(rows: Rows, **changes: Any) -> str:
    row = await rows.waiting(**changes)
    ended = {"status": Status.SUCCEEDED, "output": "hello", "started_at": clock(), "completed_at": clock()}
    await rows.change(Prediction, Prediction.id == row.id, **ended)
    return str(row.id)


async def show(client: httpx.AsyncClient, prediction_id: Any) -> httpx.Response:
    return await client.post(EXAMPLES, json={"prediction": prediction_id})


async def shown(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get(EXAMPLES)
    assert answer.status_code == 200, answer.text
    return [example["id"] for example in answer.json()["results"]]


async def test_the_first_example_stands_in_the_model_wherever_that_is_shown(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    assert await shown(client) == []
    assert (await client.get(MODEL)).json()["default_example"] is None
    newest, oldest, middle = [await succeeded(rows) for _ in range(3)]
    await succeeded(rows)
    for prediction_id in (oldest, middle, newest):
        assert (await show(client, prediction_id)).status_code == 201
    assert await shown(client) == [oldest, middle, newest]
    models = [
        (await client.get(MODEL)).json(),
        (await client.get("/v1/models")).json()["results"][0],
        (await client.request("QUERY", "/v1/models", content="echo")).json()["results"][0],
    ]
    assert [model["default_example"]["id"] for model in models] == [oldest] * 3
    assert models[0]["default_example"] == (await client.get(EXAMPLES)).json()["results"][0]
    assert (await client.delete(f"{EXAMPLES}/{oldest}")).status_code == 204
    assert await shown(client) == [middle, newest]
    assert (await client.get(MODEL)).json()["default_example"]["id"] == middle
    assert (await client.delete(f"{EXAMPLES}/{oldest}")).status_code == 404


async def test_what_is_an_example_already_keeps_its_place(client: httpx.AsyncClient, rows: Rows) -> None:
    first, second = [await succeeded(rows) for _ in range(2)]
    for prediction_id in (first, second, first):
        assert (await show(client, prediction_id)).status_code == 201
    assert await shown(client) == [first, second]


async def test_examples_come_in_pages(client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.routes.examples.PAGE_SIZE", 2)
    made = [await succeeded(rows) for _ in range(5)]
    for place, prediction_id in enumerate(made):
        since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=place)
        await rows.change(Prediction, Prediction.id == prediction_id, example_since=since)
    address, found = EXAMPLES, []
    while address:
        page = (await client.get(address)).json()
        found.append([example["id"] for example in page["results"]])
        address = page["next"]
    assert found == [made[:2], made[2:4], made[4:]]
    assert [each["id"] for each in (await client.get(page["previous"])).json()["results"]] == made[2:4]


async def test_only_a_prediction_that_succeeded_of_ones_own_and_of_this_model_is_shown(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    ada = await Rows.made(rows.database, "ada")
    waiting, running, canceled = [await rows.waiting(), await rows.running(), await rows.ended()]
    foreign = await succeeded(rows, account_id=ada.account_id)
    of_another = await succeeded(rows, model="ada/echo", version_id=ada.version_id)
    unknown = [await show(client, which) for which in (foreign, of_another, "0" * 26, "", "\u202e")]
    assert {answer.status_code for answer in unknown} == {422}
    assert len({answer.text for answer in unknown}) == 1
    for row in (waiting, running, canceled):
        answer = await show(client, row.id)
        assert (answer.status_code, "succeeded" in answer.json()["detail"]) == (422, True)
    assert await shown(client) == []


@pytest.mark.parametrize("where", ["input", "output", "logs"])
async def test_what_is_too_large_to_be_shown_beside_many_models_is_no_example(
    client: httpx.AsyncClient, rows: Rows, where: str
) -> None:
    prediction_id = await succeeded(rows)
    large = "x" * BYTES_MAX
    await rows.change(
        Prediction, Prediction.id == prediction_id, **{where: {"a": large} if where == "input" else large}
    )
    answer = await show(client, prediction_id)
    assert (answer.status_code, "256 KiB" in answer.json()["detail"]) == (422, True)
    assert (await rows.prediction(prediction_id)).example_since is None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "required"),
        ({"prediction": 5}, "invalid_type"),
        ({"prediction": None}, "invalid_type"),
        ({"prediction": "x", "more": 1}, "additional_property_not_allowed"),
    ],
)
async def test_a_body_of_another_shape_is_refused(client: httpx.AsyncClient, body: Any, kind: str) -> None:
    answer = await client.post(EXAMPLES, json=body)
    assert (answer.status_code, answer.json()["invalid_fields"][0]["type"]) == (422, kind)


async def test_strangers_see_the_example_without_what_is_its_owners_alone(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    ada = await Rows.made(rows.database, "ada")
    await ada.add_token(ADAS_TOKEN)
    secret = "https://hooks.example.com/secret"
    prediction_id = await succeeded(rows, webhook=secret, streams=True)
    assert secret not in (await show(client, prediction_id)).text
    for token in (ADAS_TOKEN, TOKEN):
        client.headers["authorization"] = f"Bearer {token}"
        for path in (EXAMPLES, MODEL, "/v1/models", "/v1/search?query=echo"):
            text = (await client.get(path)).text
            assert prediction_id in text
            assert secret not in text
            assert "/streams/" not in text
    own = (await client.get(f"/v1/predictions/{prediction_id}")).json()
    assert own["webhook"] == secret
    client.headers["authorization"] = f"Bearer {ADAS_TOKEN}"
    assert (await client.get(f"/v1/predictions/{prediction_id}")).status_code == 404
    await rows.change(Model, Model.id == rows.model_id, visibility=Visibility.PRIVATE)
    assert (await client.get(EXAMPLES)).status_code == 404
    assert prediction_id not in (await client.get("/v1/models")).text


async def a_file(rows: Rows, settings: Settings, prediction_id: str | None = None) -> str:
    with Incoming(settings.home) as incoming:
        incoming.write(b"content")
        incoming.complete()
        about = Description(rows.account_id, "a.txt", "text/plain", 3600, prediction_id)
        row = await files.register(rows.database, incoming, about)
        incoming.publish(row.id)
    return str(row.id)


async def test_its_files_are_kept_for_as_long_and_expire_afterwards(
    client: httpx.AsyncClient, rows: Rows, settings: Settings
) -> None:
    given, unrelated = [await a_file(rows, settings) for _ in range(2)]
    prediction_id = await succeeded(rows, input={"text": f"http://pinion.test/v1/files/{given}"})
    output = await a_file(rows, settings, prediction_id)

    async def expiring() -> list[bool]:
        found = [await rows.one(File, File.id == each) for each in (given, output, unrelated)]
        return [row.expires_at is not None for row in found]

    assert await expiring() == [True, True, True]
    await show(client, prediction_id)
    assert await expiring() == [False, False, True]
    await client.delete(f"{EXAMPLES}/{prediction_id}")
    # By the settings of this test, an output is kept as long as its prediction.
    assert await expiring() == [True, False, True]


async def test_a_file_that_an_example_keeps_is_read_listed_and_downloaded_like_others(
    client: httpx.AsyncClient, rows: Rows, settings: Settings
) -> None:
    given = await a_file(rows, settings)
    await show(client, await succeeded(rows, input={"text": f"http://pinion.test/v1/files/{given}"}))
    answer = await client.get(f"/v1/files/{given}")
    assert (answer.status_code, answer.json()["expires_at"]) == (200, None)
    assert [each["id"] for each in (await client.get("/v1/files")).json()["results"]] == [given]
    assert (await client.get(answer.json()["urls"]["download"])).content == b"content"


async def test_with_its_version_an_example_goes(client: httpx.AsyncClient, rows: Rows, settings: Settings) -> None:
    await rows.change(Model, Model.id == rows.model_id, visibility=Visibility.PRIVATE)
    other = await rows.add_version()
    gone, stays = await succeeded(rows), await succeeded(rows, version_id=other)
    for prediction_id in (gone, stays):
        await show(client, prediction_id)
    assert (await client.delete(f"{MODEL}/versions/{rows.version_id}")).status_code == 202
    assert await shown(client) == [stays]
    assert (await rows.prediction(gone)).example_since is None
