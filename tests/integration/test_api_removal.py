"""Versions and models that are deleted: on which conditions, and what becomes of predictions, files and names."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared import catalog, storage
from shared.contract import Kind, Status, VersionStatus, Visibility
from shared.database import Database, clock
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Model, Prediction, Version
from tests.database_fixtures import TRAINABLE, Rows
from tests.host import Host, installed
from worker.leftovers import Leftovers

MODEL = "/v1/models/pinion/echo"


@pytest.fixture
async def private(rows: Rows) -> Rows:
    await rows.change(Model, Model.id == rows.model_id, visibility=Visibility.PRIVATE)
    return rows


async def removed(client: httpx.AsyncClient, version_id: str) -> httpx.Response:
    return await client.delete(f"{MODEL}/versions/{version_id}")


def detail(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    assert answer.json()["title"] == "Still needed"
    return str(answer.json()["detail"])


async def test_a_deleted_version_is_gone_for_everybody_and_its_predictions_stay(
    client: httpx.AsyncClient, private: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = await private.ended()
    created = await client.post("/v1/predictions", json={"version": private.version_id, "input": {}})
    assert created.status_code == 201
    answer = await removed(client, private.version_id)
    assert (answer.status_code, answer.content) == (202, b"")
    assert (await client.get(f"{MODEL}/versions/{private.version_id}")).status_code == 404
    assert (await client.get(f"{MODEL}/versions")).json()["results"] == []
    assert (await client.get(MODEL)).json()["latest_version"] is None
    assert (await removed(client, private.version_id)).status_code == 404
    assert (await client.post(f"{MODEL}/predictions", json={"input": {}})).status_code == 404
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr("api.versions_cache.monotonic", lambda: now + 10)
    for reference in ("{}", "pinion/echo:{}"):
        body = {"version": reference.format(private.version_id), "input": {}}
        assert (await client.post("/v1/predictions", json=body)).status_code == 422
    for prediction_id in (ended.id, created.json()["id"]):
        shown = (await client.get(f"/v1/predictions/{prediction_id}")).json()
        assert (shown["version"], shown["model"]) == (private.version_id, "pinion/echo")


async def test_the_name_stands_for_the_version_that_was_pushed_before(client: httpx.AsyncClient, private: Rows) -> None:
    older = private.version_id
    failed = await private.add_version(status=VersionStatus.FAILED)
    newest = await private.add_version()
    await private.change(Model, Model.id == private.model_id, latest_version_id=newest)
    assert (await removed(client, newest)).status_code == 202
    assert (await client.get(MODEL)).json()["latest_version"]["id"] == older
    assert (await removed(client, failed)).status_code == 202
    assert (await client.get(MODEL)).json()["latest_version"]["id"] == older


async def test_a_public_model_keeps_its_versions_and_itself(client: httpx.AsyncClient, rows: Rows) -> None:
    for answer in (await removed(client, rows.version_id), await client.delete(MODEL)):
        assert "public" in detail(answer)
        assert "visibility" in detail(answer)
    assert (await client.get(MODEL)).json()["latest_version"]["id"] == rows.version_id


async def test_a_version_that_another_account_has_run_stays(client: httpx.AsyncClient, private: Rows) -> None:
    ada = await Rows.made(private.database, "ada")
    row = await private.waiting(account_id=ada.account_id)
    assert "Another account" in detail(await removed(client, private.version_id))
    await private.change(Prediction, Prediction.id == row.id, account_id=private.account_id)
    assert (await removed(client, private.version_id)).status_code == 202


async def test_a_version_stays_while_a_deployment_runs_it(client: httpx.AsyncClient, private: Rows) -> None:
    newer = await private.add_version()
    await private.deployed("talks")
    assert "The deployment talks runs this version" in detail(await removed(client, private.version_id))
    changed = await client.patch("/v1/deployments/pinion/talks", json={"version": newer})
    assert changed.status_code == 200, changed.text
    assert (await removed(client, private.version_id)).status_code == 202


@pytest.mark.parametrize("is_running", [False, True])
async def test_a_version_stays_while_a_training_is_based_on_it(
    client: httpx.AsyncClient, private: Rows, is_running: bool
) -> None:
    row = await (private.running if is_running else private.waiting)(kind=Kind.TRAINING, destination="pinion/echo")
    assert f"The training {row.id} is based on this version" in detail(await removed(client, private.version_id))
    await private.change(Prediction, Prediction.id == row.id, status=Status.FAILED)
    assert (await removed(client, private.version_id)).status_code == 202


@pytest.mark.parametrize("status", [VersionStatus.READY, VersionStatus.BUILDING])
async def test_a_model_with_versions_stays(client: httpx.AsyncClient, private: Rows, status: VersionStatus) -> None:
    await private.change(Version, Version.id == private.version_id, status=status)
    assert "has 1 version." in detail(await client.delete(MODEL))
    second = await private.add_version()
    assert "has 2 versions." in detail(await client.delete(MODEL))
    for version_id in (second, private.version_id):
        assert (await removed(client, version_id)).status_code == 202
    answer = await client.delete(MODEL)
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_version_of_another_model_is_not_found_under_this_one(client: httpx.AsyncClient, private: Rows) -> None:
    ada = await Rows.made(private.database, "ada")
    for version_id in (ada.version_id, "0" * 64, "x", "%00"):
        assert (await removed(client, version_id)).status_code == 404
    assert (await client.get(f"/v1/models/ada/echo/versions/{ada.version_id}")).status_code == 200


async def test_a_deleted_model_leaves_its_name_and_its_predictions(client: httpx.AsyncClient, private: Rows) -> None:
    ended = await private.ended()
    await private.change(Version, Version.id == private.version_id, status=VersionStatus.FAILED)
    assert (await client.delete(MODEL)).status_code == 204
    answers = [
        await client.get(MODEL),
        await client.get(f"{MODEL}/versions"),
        await client.get(f"{MODEL}/readme"),
        await client.get(f"{MODEL}/examples"),
        await client.patch(MODEL, json={"description": "x"}),
        await client.delete(MODEL),
    ]
    assert [answer.status_code for answer in answers] == [404] * 6
    assert (await client.get("/v1/models")).json()["results"] == []
    assert (await client.get(f"/v1/predictions/{ended.id}")).json()["model"] == "pinion/echo"
    body = {"owner": "pinion", "name": "echo", "visibility": "private", "hardware": "cpu"}
    assert (await client.post("/v1/models", json=body)).status_code == 201
    assert (await client.get(f"{MODEL}/versions")).json()["results"] == []


async def test_a_push_and_a_deletion_of_its_model_at_once_lose_no_version(
    client: httpx.AsyncClient, private: Rows, database: Database
) -> None:
    await removed(client, private.version_id)
    for digit in "0123456789abcdef":
        version_id = digit * 64
        pushed, deleted = await asyncio.gather(
            catalog.add_version(database, private.account_id, "pinion", "echo", version_id), client.delete(MODEL)
        )
        assert deleted.status_code in (204, 404, 422)
        shown = await client.get(f"{MODEL}/versions/{version_id}")
        assert (shown.status_code, shown.json()["status"]) == (200, pushed.status)
        assert (await removed(client, version_id)).status_code == 202


async def test_of_a_deletion_and_a_deployment_of_a_version_at_once_one_is_refused(
    client: httpx.AsyncClient, private: Rows
) -> None:
    for number in range(12):
        version_id = await private.add_version()
        wish = {"name": f"d{number}", "model": "pinion/echo", "version": version_id, "hardware": "cpu"}
        body = {**wish, "min_instances": 0, "max_instances": 1}
        deleted, deployed = await asyncio.gather(removed(client, version_id), client.post("/v1/deployments", json=body))
        assert (deleted.status_code, deployed.status_code) in ((202, 422), (422, 200))


async def test_of_a_deletion_and_a_training_of_a_version_at_once_one_is_refused(
    client: httpx.AsyncClient, private: Rows
) -> None:
    body = {"destination": "pinion/echo", "input": {"text": "hi"}}
    for _ in range(12):
        version_id = await private.add_version(openapi_schema=TRAINABLE)
        deleted, trained = await asyncio.gather(
            removed(client, version_id), client.post(f"{MODEL}/versions/{version_id}/trainings", json=body)
        )
        assert (deleted.status_code, trained.status_code) in ((202, 404), (202, 422), (422, 201)), trained.text


async def test_a_build_that_ends_and_a_deletion_at_once_leave_nothing_that_can_be_run(
    client: httpx.AsyncClient, private: Rows, database: Database
) -> None:
    async def publish(version_id: str) -> None:
        async with database.transaction() as transaction:
            await catalog.publish(transaction, version_id, {}, False, "")

    for _ in range(16):
        version_id = await private.add_version(status=VersionStatus.BUILDING)
        answer, _ = await asyncio.gather(removed(client, version_id), publish(version_id))
        assert answer.status_code == 202
        assert (await private.one(Version, Version.id == version_id)).status == VersionStatus.REMOVED
        assert (await private.one(Model, Model.id == private.model_id)).latest_version_id == private.version_id


async def long_ago(rows: Rows, version_id: str) -> None:
    await rows.change(Version, Version.id == version_id, removed_at=clock(-3600))


def put_aside(home: Path) -> list[Path]:
    return list((home / "versions").glob(".gone-*"))


async def test_files_go_once_no_prediction_waits_for_them_any_more(
    client: httpx.AsyncClient, private: Rows, host: Host, settings: Settings, database: Database
) -> None:
    leftovers = Leftovers(settings, database)
    version_id = await installed(settings, private, "echo")
    folder = version_folder(settings.home, version_id)
    waiting = await private.waiting(version_id=version_id, input={"text": "still"})
    assert (await removed(client, version_id)).status_code == 202
    await long_ago(private, version_id)
    await leftovers.remove()
    assert folder.is_dir()
    # It was accepted, so it is run.
    await host.predict(version_id, waiting.id)
    ended = await private.prediction(waiting.id)
    assert (ended.status, ended.error) == (Status.SUCCEEDED, None)
    await leftovers.remove()
    assert not folder.exists()
    assert put_aside(settings.home) == []


async def test_files_stay_for_a_while_for_who_has_not_heard_yet(
    client: httpx.AsyncClient, private: Rows, settings: Settings, database: Database
) -> None:
    version_id = await installed(settings, private, "echo")
    await removed(client, version_id)
    await Leftovers(settings, database).remove()
    assert version_folder(settings.home, version_id).is_dir()


async def test_of_a_linked_version_the_link_goes_and_not_what_it_leads_to(
    client: httpx.AsyncClient, private: Rows, settings: Settings, database: Database, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "predict.py").touch()
    folder = version_folder(settings.home, private.version_id)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(source)
    await removed(client, private.version_id)
    await long_ago(private, private.version_id)
    await Leftovers(settings, database).remove()
    assert not folder.is_symlink()
    assert (source / "predict.py").exists()


async def pushed(client: httpx.AsyncClient, files: dict[str, bytes]) -> dict[str, Any]:
    """As `pinion push` does it: contents that are missing are sent, then the push is repeated."""
    by_digest = {sha256(content).hexdigest(): content for content in files.values()}
    described = [
        {"path": name, "size": len(content), "sha256": sha256(content).hexdigest()} for name, content in files.items()
    ]
    while (answer := await client.post(f"{MODEL}/versions", json={"files": described})).status_code == 202:
        for missing in answer.json()["missing"]:
            content = by_digest[missing["sha256"]]
            sent = await client.put(f"/v1/contents/{missing['sha256']}", params={"size": len(content)}, content=content)
            assert sent.status_code == 200
    assert answer.status_code in (200, 201), answer.text
    return dict(answer.json())


FILES = {"cog.yaml": b"predict: predict.py:Predictor\n", "predict.py": b"class Predictor: ...\n"}


async def test_a_version_that_was_deleted_can_be_pushed_again(
    client: httpx.AsyncClient, private: Rows, settings: Settings, database: Database
) -> None:
    first = await pushed(client, FILES)
    await removed(client, first["id"])
    await long_ago(private, first["id"])
    await Leftovers(settings, database).remove()
    again = await pushed(client, FILES)
    assert (again["id"], again["status"]) == (first["id"], "building")
    assert (version_folder(settings.home, first["id"]) / "predict.py").read_bytes() == FILES["predict.py"]
    row = await private.one(Version, Version.id == first["id"])
    assert (row.delivery, row.removed_at) == (2, None)


async def test_a_push_that_meets_the_deletion_of_the_same_files_has_them_in_the_end(
    client: httpx.AsyncClient, private: Rows, settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await pushed(client, FILES)
    await removed(client, first["id"])
    await long_ago(private, first["id"])
    add_version = catalog.add_version

    async def late(*arguments: Any) -> Any:
        """The files were found in their place, and are deleted just before the row says that they are wanted."""
        await Leftovers(settings, database).remove()
        assert not storage.has_files(settings.home, first["id"])
        return await add_version(*arguments)

    monkeypatch.setattr(catalog, "add_version", late)
    assert (await pushed(client, FILES))["status"] == "building"
    assert (version_folder(settings.home, first["id"]) / "predict.py").read_bytes() == FILES["predict.py"]
