"""Trainings from the request to the new version: a worker in this process, real model processes, both backends."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import Row, insert, select, update

from shared import catalog, trainings
from shared.contract import Kind, Scope, VersionStatus, Visibility
from shared.database import Database, clock
from shared.ids import new_id
from shared.isolation import Isolation, Level, find_obstacle
from shared.live import Feed
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import File, Model, Prediction, Version
from shared.tables import Worker as WorkerRow
from tests.database_fixtures import Rows, until
from tests.host import installed
from tests.model_processes import starting
from tests.training_worker import TrainingWorker, training
from worker.memory import HostMemory
from worker.sweep import Sweep
from worker.train import NO_WEIGHTS

DESTINATION = "pinion/tuned"
ENDED = ("succeeded", "failed", "canceled")


@pytest_asyncio.fixture
async def worker(settings: Settings, database: Database, feed: Feed) -> AsyncIterator[TrainingWorker]:
    async with training(settings, database, feed) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def schema() -> dict[str, Any]:
    """Of a model that learns a word, read from its process once."""
    async with starting() as start:
        return (await start("learns")).schema


@pytest_asyncio.fixture
async def learner_id(settings: Settings, rows: Rows, schema: dict[str, Any]) -> str:
    """A version of that model; there is a destination for what it learns, too."""
    await add_model(rows, "tuned")
    return await installed(settings, rows, "learns", openapi_schema=schema)


@pytest_asyncio.fixture
async def version_id(worker: TrainingWorker, learner_id: str) -> str:
    """The same beside a worker."""
    return learner_id


async def add_model(rows: Rows, name: str) -> None:
    values = {"id": new_id(), "account_id": rows.account_id, "owner": rows.username, "name": name}
    async with rows.database.transaction() as transaction:
        new = insert(Model).values(**values, visibility=Visibility.PUBLIC, created_at=clock())
        await transaction.execute(new)


async def create(client: httpx.AsyncClient, version_id: str, more: dict[str, Any] | None = None, **input: Any) -> Any:
    body = {"destination": DESTINATION, "input": input, **(more or {})}
    return await client.post(f"/v1/models/pinion/echo/versions/{version_id}/trainings", json=body)


async def accepted(client: httpx.AsyncClient, version_id: str, more: dict[str, Any] | None = None, **input: Any) -> str:
    """The id of a training just created."""
    created = await create(client, version_id, more, **input)
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


async def ended(client: httpx.AsyncClient, training_id: str) -> Any:
    async def look() -> Any:
        found = (await client.get(f"/v1/trainings/{training_id}")).json()
        return found if found["status"] in ENDED else None

    return await until(look, 20)


async def versions_of(rows: Rows, name: str = "tuned") -> list[Row[Any]]:
    model = await rows.one(Model, Model.name == name)
    async with rows.database.reading() as connection:
        query = Version.__table__.select().where(Version.model_id == model.id)
        return list((await connection.execute(query)).all())


async def test_a_training_makes_a_version_of_its_destination(
    client: httpx.AsyncClient, rows: Rows, settings: Settings, version_id: str
) -> None:
    created = (await create(client, version_id, word="patience")).json()
    assert (created["status"], created["model"], created["version"]) == ("starting", "pinion/echo", version_id)
    assert created["destination"] == DESTINATION
    address = f"http://pinion.test/v1/trainings/{created['id']}"
    assert created["urls"] == {
        "get": address,
        "cancel": f"{address}/cancel",
        "web": f"http://pinion.test/p/{created['id']}",
    }
    done = await ended(client, created["id"])
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert "learning patience\n" in done["logs"]
    assert done["metrics"]["predict_time"] > 0
    model, _, new_id = done["output"]["version"].partition(":")
    assert model == DESTINATION
    weights = await client.get(done["output"]["weights"].removeprefix("http://pinion.test"))
    assert weights.text == "patience"
    shown = (await client.get(f"/v1/models/{DESTINATION}")).json()
    assert shown["latest_version"]["id"] == new_id
    assert shown["latest_version"]["openapi_schema"]["components"]["schemas"]["TrainingInput"]
    assert sorted(path.name for path in version_folder(settings.home, new_id).glob("*.*")) == [
        "cog.yaml",
        "predict.py",
        "train.py",
    ]
    # What train() wrote beside it is its own affair: the version it started from would take it for its weights.
    assert not (version_folder(settings.home, version_id) / "weights").exists()
    assert not list((settings.home / "run" / "predictions").glob("*/*"))
    kept = await rows.one(File, File.prediction_id == created["id"])
    assert kept.expires_at is None
    assert (await client.get("/v1/trainings")).json()["results"] == [done]


async def test_the_same_training_again_is_the_same_version(
    client: httpx.AsyncClient, rows: Rows, version_id: str
) -> None:
    ids = [await accepted(client, version_id, word=word) for word in ("patience", "patience", "care")]
    first, again, other = [(await ended(client, training_id))["output"]["version"] for training_id in ids]
    assert first == again != other
    assert len(await versions_of(rows)) == 2


@pytest.mark.parametrize(
    ("input", "error"), [({"fails": True}, "patience is too hard"), ({"forgets": True}, NO_WEIGHTS)]
)
async def test_what_goes_wrong_in_a_training_is_told_and_makes_no_version(
    client: httpx.AsyncClient, rows: Rows, version_id: str, input: dict[str, Any], error: str
) -> None:
    done = await ended(client, await accepted(client, version_id, word="patience", **input))
    assert (done["status"], done["error"], done["output"]) == ("failed", error, None)
    assert await versions_of(rows) == []


async def test_a_training_that_cannot_begin_fails(
    client: httpx.AsyncClient, rows: Rows, settings: Settings, version_id: str
) -> None:
    (version_folder(settings.home, version_id) / "train.py").write_text("raise ImportError('no such optimizer')")
    done = await ended(client, await accepted(client, version_id, word="patience"))
    assert done["status"] == "failed"
    assert done["error"].startswith("The training could not be set up: ")
    assert "no such optimizer" in done["error"]


async def test_a_destination_that_is_gone_when_it_is_needed_fails_the_training(
    client: httpx.AsyncClient, rows: Rows, version_id: str, scratch: Path
) -> None:
    gate = scratch / "gate"
    training_id = await accepted(client, version_id, word="patience", waits_for=str(gate))
    async with rows.database.transaction() as transaction:
        await transaction.execute(update(Model).where(Model.name == "tuned").values(name="renamed"))
    gate.touch()
    done = await ended(client, training_id)
    assert (done["status"], done["error"]) == ("failed", f"The destination {DESTINATION} is not there any more.")


async def test_what_a_webhook_tells_of_a_training_is_the_training(
    client: httpx.AsyncClient, rows: Rows, version_id: str
) -> None:
    wish = {"webhook": "http://127.0.0.1:9/hook", "webhook_events_filter": ["start", "completed"]}
    training_id = await accepted(client, version_id, wish, word="patience")
    done = await ended(client, training_id)
    start, completed = await rows.messages(training_id)
    assert (start.event, completed.event) == ("start", "completed")
    assert httpx.Response(200, content=completed.body).json() == done


async def test_what_is_asked_wrongly_is_said(client: httpx.AsyncClient, rows: Rows, version_id: str) -> None:
    other = await Rows.made(rows.database, "ada")  # her model is public, but not the caller's
    assert (await create(client, "0" * 64, word="patience")).status_code == 404
    for destination in ("pinion/nothing", f"{other.username}/echo", "nothing"):
        answer = await create(client, version_id, {"destination": destination}, word="patience")
        assert answer.status_code == 404
        assert "The destination must be a model of your own" in answer.json()["detail"]
    untrainable = await create(client, rows.version_id, text="hello")
    assert (untrainable.status_code, untrainable.json()["title"]) == (422, "Invalid version or not permitted")
    assert "cannot be trained" in untrainable.json()["detail"]
    invalid = await create(client, version_id, word=7)
    assert [field["field"] for field in invalid.json()["invalid_fields"]] == ["input.word"]
    assert (await create(client, version_id)).json()["detail"] == "- input: word is required\n"
    bare = await client.post(f"/v1/models/pinion/echo/versions/{version_id}/trainings", json={"input": {}})
    assert (bare.status_code, bare.json()["detail"]) == (422, "- destination is required\n")


async def test_trainings_and_predictions_are_apart(client: httpx.AsyncClient, rows: Rows, version_id: str) -> None:
    training_id = await accepted(client, version_id, word="patience")
    prediction = await rows.waiting()
    assert (await client.get(f"/v1/trainings/{prediction.id}")).status_code == 404
    assert (await client.post(f"/v1/trainings/{prediction.id}/cancel")).status_code == 404
    for name, own in (("predictions", prediction.id), ("trainings", training_id)):
        assert [each["id"] for each in (await client.get(f"/v1/{name}")).json()["results"]] == [own]
    assert (await client.get("/v1/models/pinion/echo")).json()["run_count"] == 1
    await ended(client, training_id)


@pytest.mark.parametrize("place", ["predictions", "trainings"])
async def test_a_training_is_found_and_canceled_under_the_address_of_a_prediction_too(
    client: httpx.AsyncClient, rows: Rows, version_id: str, tmp_path: Path, place: str
) -> None:
    training_id = await accepted(client, version_id, word="patience", waits_for=str(tmp_path / "never"))
    await until(lambda: has_said(rows, training_id, "learning"))
    shown = (await client.get(f"/v1/{place}/{training_id}")).json()
    assert (shown["id"], shown["destination"], shown["status"]) == (training_id, "pinion/tuned", "processing")
    assert shown["urls"]["get"].endswith(f"/v1/trainings/{training_id}")
    canceled = await client.post(f"/v1/{place}/{training_id}/cancel")
    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert await versions_of(rows) == []


async def test_a_training_under_the_address_of_a_prediction_needs_the_scope_of_trainings(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    row = await rows.ended(kind=Kind.TRAINING, destination="pinion/tuned")
    await rows.add_token("r8_predicts", scopes=[Scope.PREDICTIONS_READ, Scope.PREDICTIONS_WRITE])
    headers = {"authorization": "Bearer r8_predicts"}
    answers = [
        await client.get(f"/v1/predictions/{row.id}", headers=headers),
        await client.post(f"/v1/predictions/{row.id}/cancel", headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert ["trainings:read" in answers[0].text, "trainings:write" in answers[1].text] == [True, True]


async def test_a_waiting_training_is_canceled_at_once(client: httpx.AsyncClient, learner_id: str) -> None:
    canceled = await client.post(f"/v1/trainings/{await accepted(client, learner_id, word='patience')}/cancel")
    assert canceled.json()["status"] == "canceled"


async def has_said(rows: Rows, training_id: str, text: str) -> bool:
    return text in (await rows.prediction(training_id)).logs


async def test_a_cancel_during_the_build_ends_training_and_version(
    client: httpx.AsyncClient, rows: Rows, learner_id: str, settings: Settings, database: Database, feed: Feed
) -> None:
    async with training(settings, database, feed, builds=False):
        training_id = await accepted(client, learner_id, word="patience")
        await until(lambda: versions_of(rows))
        canceled = (await client.post(f"/v1/trainings/{training_id}/cancel")).json()
    assert (canceled["status"], canceled["output"]) == ("canceled", None)
    [version] = await versions_of(rows)
    assert version.status == VersionStatus.FAILED


async def test_a_version_that_cannot_be_built_fails_its_training(
    client: httpx.AsyncClient, rows: Rows, learner_id: str, settings: Settings, database: Database, feed: Feed
) -> None:
    async with training(settings, database, feed, builds=False):
        training_id = await accepted(client, learner_id, word="patience")
        [version] = await until(lambda: versions_of(rows))
        async with database.transaction() as transaction:
            await catalog.reject(transaction, version.id, "no room for it", "")
        done = await ended(client, training_id)
    assert (done["status"], done["error"]) == ("failed", "The new version could not be built: no room for it")


@pytest.mark.parametrize("stage", ["training", "building"])
async def test_a_training_outlives_its_worker_and_what_it_made_is_not_made_again(
    client: httpx.AsyncClient,
    rows: Rows,
    settings: Settings,
    database: Database,
    feed: Feed,
    learner_id: str,
    scratch: Path,
    stage: str,
) -> None:
    gate = scratch / "gate"
    async with training(settings, database, feed, builds=False):
        training_id = await accepted(client, learner_id, word="patience", waits_for=str(gate))
        await until(lambda: has_said(rows, training_id, "learning"))
        if stage == "building":
            gate.touch()
            await until(lambda: versions_of(rows))
    gate.touch()
    await rows.change(WorkerRow, WorkerRow.is_lost.is_(False), is_lost=True)
    async with training(settings, database, feed):
        sweep = Sweep(settings, database, new_id())
        done = await until(lambda: ended_under(sweep, client, training_id), 20)
    assert (done["status"], done["error"]) == ("succeeded", None)
    assert done["logs"].count("learning patience") == 1
    assert (await rows.prediction(training_id)).attempt == 2
    assert len(await versions_of(rows)) == 1


async def ended_under(sweep: Sweep, client: httpx.AsyncClient, training_id: str) -> Any:
    await sweep.tick()
    found = (await client.get(f"/v1/trainings/{training_id}")).json()
    return found if found["status"] in ENDED else None


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0])
async def test_no_cancel_is_lost_whenever_it_comes(
    client: httpx.AsyncClient, rows: Rows, version_id: str, delay: float
) -> None:
    """One that comes before the version is published is heeded, and one that comes later is too late."""
    training_id = await accepted(client, version_id, word="patience")
    created_at = (await rows.prediction(training_id)).created_at
    await until(lambda: is_older(rows, created_at, delay))
    made = select(Version.status).join(Prediction, Prediction.trained_version_id == Version.id)
    async with rows.database.transaction() as transaction:
        await trainings.cancel(transaction, training_id)
        status = (await transaction.execute(made.where(Prediction.id == training_id))).scalar_one_or_none()
    done = await ended(client, training_id)
    assert (done["status"], done["error"]) == ("succeeded" if status == VersionStatus.READY else "canceled", None)
    ready = [version.id for version in await versions_of(rows) if version.status == VersionStatus.READY]
    assert ready == ([done["output"]["version"].partition(":")[2]] if status == VersionStatus.READY else [])


async def is_older(rows: Rows, moment: Any, seconds: float) -> bool:
    async with rows.database.reading() as connection:
        now = (await connection.execute(clock().select())).scalar_one()
    return bool((now - moment).total_seconds() >= seconds)


async def test_idle_models_give_way_to_a_training(
    client: httpx.AsyncClient, rows: Rows, worker: TrainingWorker, version_id: str, scratch: Path
) -> None:
    gate = scratch / "gate"
    training_id = await accepted(client, version_id, word="patience", waits_for=str(gate))
    await until(lambda: has_said(rows, training_id, "learning"))
    resident = worker.residency.resident(version_id)
    await resident.process(print)
    own = HostMemory(0).read([resident.group]).taken_bytes[resident.group]
    worker.residency._memories = [HostMemory(int(1.5 * own))]  # for one of both
    await worker.residency.make_room({})
    assert resident.group is None
    gate.touch()
    assert (await ended(client, training_id))["status"] == "succeeded"


async def test_a_training_that_is_killed_says_so(
    client: httpx.AsyncClient, rows: Rows, worker: TrainingWorker, version_id: str, tmp_path: Path
) -> None:
    training_id = await accepted(client, version_id, word="patience", waits_for=str(tmp_path / "never"))
    await until(lambda: has_said(rows, training_id, "learning"))
    [group] = worker.residency._guests
    os.killpg(group, signal.SIGKILL)
    done = await ended(client, training_id)
    assert done["status"] == "failed"
    assert done["error"].startswith("The model process was killed by signal 9")
    assert "started again" not in done["error"]


async def test_a_training_in_a_sandbox_hands_out_what_it_made_there(
    client: httpx.AsyncClient, learner_id: str, settings: Settings, database: Database, feed: Feed
) -> None:
    if obstacle := find_obstacle(Level.SANDBOX):
        pytest.skip(obstacle)
    secluded = settings.model_copy(update={"isolation": Isolation.SANDBOX})
    async with training(secluded, database, feed):
        done = await ended(client, await accepted(client, learner_id, word="patience"))
    assert (done["status"], done["error"]) == ("succeeded", None)
    weights = await client.get(done["output"]["weights"].removeprefix("http://pinion.test"))
    assert weights.text == "patience"
