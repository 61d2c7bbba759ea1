"""A secret input reaches the model and nobody else: answers, lists, webhooks, examples and trainings mask it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import insert

from shared.contract import Visibility
from shared.database import Database, clock
from shared.ids import new_id
from shared.kept_secrets import decrypted_input
from shared.live import Feed
from shared.settings import Settings
from shared.tables import Model
from tests.api_in_process import serving
from tests.database_fixtures import Rows, until
from tests.host import Host
from tests.training_worker import TrainingWorker, built, training

GIVEN = {"password": "sesame", "others": ["abracadabra", "alohomora"], "spare": None, "text": "hi"}
SHOWN = {"password": "**********", "others": ["**********"] * 2, "spare": None, "text": "hi"}
BACKWARDS = ["emases", "arbadacarba", "aromohola", "hi"]
SECRETS = ("sesame", "abracadabra", "alohomora")
HOOK = "http://127.0.0.1:9/hook"
STRANGERS_TOKEN = "r8_" + "s" * 37


@pytest_asyncio.fixture
async def worker(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[TrainingWorker]:
    async with training(settings, database, feed) as opened:
        yield opened


@pytest_asyncio.fixture
async def version_id(worker: TrainingWorker, settings: Settings, rows: Rows) -> str:
    """Of the model that is told secrets, with the schema it really has; the newest of the public pinion/echo."""
    version_id = await built(worker, settings, rows, "reverses_secrets")
    await rows.change(Model, Model.id == rows.model_id, latest_version_id=version_id)
    return version_id


async def created(client: httpx.AsyncClient, path: str, body: dict[str, Any], **headers: str) -> Any:
    answer = await client.post(path, json={**body, "webhook": HOOK}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def bodies(rows: Rows, prediction_id: str) -> str:
    """Of all webhook messages that are owed."""
    messages = await rows.messages(prediction_id)
    assert messages[-1].event == "completed"
    return "\n".join(message.body.decode() for message in messages)


async def test_a_secret_reaches_the_model_and_is_shown_to_nobody(
    settings: Settings, client: httpx.AsyncClient, rows: Rows, host: Host, version_id: str
) -> None:
    prediction = await created(client, "/v1/predictions", {"version": version_id, "input": GIVEN})
    assert prediction["input"] == SHOWN
    await host.predict(version_id, prediction["id"])
    got = await client.get(f"/v1/predictions/{prediction['id']}")
    assert (got.json()["input"], got.json()["output"]) == (SHOWN, BACKWARDS)
    told = await bodies(rows, prediction["id"])
    listed = await client.get("/v1/predictions")
    assert [each["input"] for each in listed.json()["results"]] == [SHOWN]
    example = await client.post("/v1/models/pinion/echo/examples", json={"prediction": prediction["id"]})
    assert example.json()["input"] == SHOWN
    await (await Rows.made(rows.database, "ada")).add_token(STRANGERS_TOKEN)
    async with serving(settings) as stranger:
        stranger.headers["authorization"] = f"Bearer {STRANGERS_TOKEN}"
        model = await stranger.get("/v1/models/pinion/echo")
        examples = await stranger.get("/v1/models/pinion/echo/examples")
    assert model.json()["default_example"]["input"] == SHOWN
    assert [each["input"] for each in examples.json()["results"]] == [SHOWN]
    seen = "\n".join([told, *(answer.text for answer in (got, listed, example, model, examples))])
    assert not [secret for secret in SECRETS if secret in seen]


async def test_what_comes_again_and_what_is_canceled_is_masked_too(
    client: httpx.AsyncClient, rows: Rows, version_id: str
) -> None:
    body, key = {"input": GIVEN}, {"Idempotency-Key": "order 66"}
    first, again = [await created(client, "/v1/models/pinion/echo/predictions", body, **key) for _ in range(2)]
    assert first == again
    assert first["input"] == SHOWN
    row = await rows.prediction(first["id"])
    assert (row.version_id, row.secret_inputs) == (version_id, ["password", "others", "spare"])
    assert decrypted_input(rows.database.vault, row) == GIVEN
    assert (row.input["spare"], row.input["text"]) == (None, "hi")
    assert not [secret for secret in SECRETS if secret in str(row)]
    canceled = await client.post(f"/v1/predictions/{first['id']}/cancel")
    assert canceled.json()["input"] == SHOWN
    assert not [secret for secret in SECRETS if secret in await bodies(rows, first["id"])]


async def test_a_training_is_told_its_secret_and_shows_it_to_nobody(
    client: httpx.AsyncClient, rows: Rows, version_id: str
) -> None:
    model = {"id": new_id(), "account_id": rows.account_id, "owner": rows.username, "name": "tuned"}
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(Model).values(**model, visibility=Visibility.PUBLIC, created_at=clock()))
    path = f"/v1/models/pinion/echo/versions/{version_id}/trainings"
    body = {"destination": "pinion/tuned", "input": {"key": "sesame", "rounds": 2}}
    accepted = await created(client, path, body)
    shown = {"key": "**********", "rounds": 2}
    assert accepted["input"] == shown

    async def ended() -> Any:
        found = (await client.get(f"/v1/trainings/{accepted['id']}")).json()
        return found if found.get("completed_at") else None

    done = await until(ended, 20)
    assert (done["status"], done["input"]) == ("succeeded", shown)
    weights = await client.get(done["output"]["weights"].removeprefix("http://pinion.test"))
    assert weights.text == "emases"
    listed = await client.get("/v1/trainings")
    assert [each["input"] for each in listed.json()["results"]] == [shown]
    assert "sesame" not in listed.text + await bodies(rows, accepted["id"])
