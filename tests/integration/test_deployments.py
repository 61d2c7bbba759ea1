"""Deployments over HTTP: made, read, changed by releases that count up, stopped, deleted, and run."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from shared.contract import Deployment as DeploymentShape
from shared.contract import Status, Visibility
from shared.database import clock
from shared.live import DEPLOYMENTS_CHANNEL, Feed
from shared.tables import Model, Prediction, Release, Worker
from tests.database_fixtures import Rows
from tests.integration.test_api_workers import add_worker

PATH = "/v1/deployments/pinion/words"


def wish(rows: Rows, **changes: Any) -> dict[str, Any]:
    usual = {"name": "words", "model": "pinion/echo", "version": rows.version_id, "hardware": "cpu"}
    return {**usual, "min_instances": 0, "max_instances": 1, **changes}


async def created(client: httpx.AsyncClient, rows: Rows, **changes: Any) -> dict[str, Any]:
    answer = await client.post("/v1/deployments", json=wish(rows, **changes))
    assert answer.status_code == 200, answer.text
    DeploymentShape.model_validate(answer.json())
    return dict(answer.json())


async def changed(client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await client.patch(PATH, json=changes)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["current_release"])


async def test_a_deployment_is_made_read_and_listed_as_replicate_shows_it(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    made = await created(client, rows, min_instances=1, max_instances=5)
    release = made["current_release"]
    assert (made["owner"], made["name"]) == ("pinion", "words")
    assert (release["number"], release["model"], release["version"]) == (1, "pinion/echo", rows.version_id)
    assert release["configuration"] == {"hardware": "cpu", "min_instances": 1, "max_instances": 5}
    assert {"type": "user", "username": "pinion", "name": "Pinion"}.items() <= release["created_by"].items()
    assert (await client.get(PATH)).json() == made
    second = await created(client, rows, name="second")
    assert (await client.get("/v1/deployments")).json() == {"next": None, "previous": None, "results": [second, made]}


async def test_each_change_is_a_release_and_the_older_ones_are_kept(client: httpx.AsyncClient, rows: Rows) -> None:
    await created(client, rows)
    newer = await rows.add_version()
    assert (await changed(client, max_instances=3))["number"] == 2
    release = await changed(client, version=newer)
    assert (release["number"], release["version"], release["configuration"]["max_instances"]) == (3, newer, 3)
    assert (await changed(client, version=newer))["number"] == 3
    assert (await changed(client))["number"] == 3
    async with rows.database.reading() as connection:
        kept = await connection.execute(select(Release.number, Release.version_id).order_by(Release.number))
        assert kept.all() == [(1, rows.version_id), (2, rows.version_id), (3, newer)]


async def test_changes_at_the_same_moment_are_releases_one_after_the_other(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await created(client, rows)
    releases = await asyncio.gather(*[changed(client, max_instances=number) for number in range(2, 8)])
    assert sorted(release["number"] for release in releases) == list(range(2, 8))
    newest = max(releases, key=lambda release: release["number"])
    assert (await client.get(PATH)).json()["current_release"] == newest


async def test_what_is_deleted_and_changed_at_the_same_moment_is_gone_or_stays_as_it_was_changed(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await created(client, rows, max_instances=0)
    patches = [client.patch(PATH, json={"max_instances": number}) for number in (1, 2)]
    *changes, deletion = await asyncio.gather(*patches, client.delete(PATH))
    statuses = {answer.status_code for answer in changes}
    is_there = (await client.get(PATH)).status_code == 200
    assert (deletion.status_code, is_there) in ((204, False), (422, True))
    assert statuses == {200} if is_there else 404 in statuses


@pytest.mark.parametrize(
    ("changes", "field", "kind"),
    [
        ({"name": "No Spaces"}, "name", "pattern"),
        ({"min_instances": 6, "max_instances": 6}, "min_instances", "number_lte"),
        ({"max_instances": 21}, "max_instances", "number_lte"),
        ({"min_instances": -1}, "min_instances", "number_gte"),
        ({"min_instances": 2, "max_instances": 1}, "max_instances", "number_gte"),
        ({"max_instances": "1"}, "max_instances", "invalid_type"),
        ({"hardware": "gpu-t4"}, "hardware", "enum"),
        ({"colour": "red"}, "", "additional_property_not_allowed"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_made(
    client: httpx.AsyncClient, rows: Rows, changes: dict[str, Any], field: str, kind: str
) -> None:
    answer = await client.post("/v1/deployments", json=wish(rows, **changes))
    assert answer.status_code == 422
    assert [(each["field"], each["type"]) for each in answer.json()["invalid_fields"]] == [(field, kind)]
    assert (await client.get("/v1/deployments")).json()["results"] == []


async def test_every_field_is_required(client: httpx.AsyncClient, rows: Rows) -> None:
    for name in wish(rows):
        answer = await client.post("/v1/deployments", json={k: v for k, v in wish(rows).items() if k != name})
        assert (answer.status_code, answer.json()["detail"]) == (422, f"- {name} is required\n")


async def test_a_name_is_given_once(client: httpx.AsyncClient, rows: Rows) -> None:
    await created(client, rows)
    again = await client.post("/v1/deployments", json=wish(rows))
    assert (again.status_code, again.json()["invalid_fields"][0]["type"]) == (422, "unique")
    assert "you have a deployment called words" in again.json()["detail"]


async def test_only_versions_that_one_may_run_can_be_deployed_and_only_of_the_model_named(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    ada = await Rows.made(rows.database, "ada")
    for model, version in [("pinion/echo", ada.version_id), ("pinion/echo", "0" * 64), ("nobody/none", "latest")]:
        refused = await client.post("/v1/deployments", json=wish(rows, model=model, version=version))
        assert (refused.status_code, refused.json()["title"]) == (422, "Invalid version or not permitted")
    await created(client, rows, name="public", model="ada/echo", version=ada.version_id)
    await ada.change(Model, Model.id == ada.model_id, visibility=Visibility.PRIVATE)
    hidden = await client.post("/v1/deployments", json=wish(rows, model="ada/echo", version=ada.version_id))
    assert hidden.status_code == 422
    lost = await client.post("/v1/deployments/pinion/public/predictions", json={"input": {}})
    assert (lost.status_code, lost.json()["title"]) == (422, "Invalid version or not permitted")


async def test_a_prediction_through_a_deployment_runs_its_version_and_names_it(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await created(client, rows)
    newer = await rows.add_version()
    first = await client.post(f"{PATH}/predictions", json={"input": {"text": "hello"}})
    await changed(client, version=newer)
    second = await client.post(f"{PATH}/predictions", json={"input": {}})
    for answer, version in ((first, rows.version_id), (second, newer)):
        assert answer.status_code == 201, answer.text
        shown = answer.json()
        assert (shown["version"], shown["model"], shown["deployment"]) == (version, "pinion/echo", "pinion/words")
        assert (await client.get(f"/v1/predictions/{shown['id']}")).json()["deployment"] == "pinion/words"
    refused = await client.post(f"{PATH}/predictions", json={"input": {"text": 1}})
    assert refused.json()["invalid_fields"][0]["field"] == "input.text"
    unknown = await client.post(f"{PATH}/predictions", json={"input": {}, "version": newer})
    assert unknown.json()["detail"] == "- Additional property version is not allowed\n"


async def test_with_no_instances_allowed_it_takes_nothing_more_and_cancels_what_it_has_and_that_alone(
    client: httpx.AsyncClient, rows: Rows, feed: Feed
) -> None:
    await created(client, rows)
    mine = [await rows.waiting(deployment="pinion/words") for _ in range(3)]
    running = await rows.running(deployment="pinion/words")
    beside = await rows.waiting()
    await changed(client, max_instances=0)
    assert [(await rows.prediction(row.id)).status for row in mine] == [Status.CANCELED] * 3
    assert (await rows.prediction(running.id)).cancel_requested_at
    assert (await rows.prediction(beside.id)).status == Status.STARTING
    refused = await client.post(f"{PATH}/predictions", json={"input": {}})
    assert (refused.status_code, refused.json()["title"]) == (422, "Deployment stopped")
    assert "Set it to 1 or more" in refused.json()["detail"]
    await changed(client, max_instances=1)
    assert (await client.post(f"{PATH}/predictions", json={"input": {}})).status_code == 201


async def test_one_that_is_stopped_and_was_quiet_for_a_while_can_be_deleted(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await created(client, rows)
    up = await client.delete(PATH)
    assert (up.status_code, up.json()["title"]) == (422, "Deployment in use")
    assert "set its min_instances and max_instances to 0" in up.json()["detail"]
    row = await rows.waiting(deployment="pinion/words")
    await changed(client, max_instances=0)
    used = await client.delete(PATH)
    assert (used.status_code, "in the last 15 minutes" in used.json()["detail"]) == (422, True)
    await rows.change(Prediction, Prediction.id == row.id, created_at=clock(-1000))
    assert (await client.delete(PATH)).status_code == 422  # it was canceled just now
    await rows.change(Prediction, Prediction.id == row.id, completed_at=clock(-901))
    gone = await client.delete(PATH)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(PATH)).status_code == 404
    assert (await rows.prediction(row.id)).deployment == "pinion/words"
    assert (await created(client, rows))["current_release"]["number"] == 1


async def test_workers_are_told_of_every_change(client: httpx.AsyncClient, rows: Rows, feed: Feed) -> None:
    async with feed.follow(DEPLOYMENTS_CHANNEL) as heard:
        await created(client, rows)
        await heard.get()
        await changed(client, max_instances=0)
        await heard.get()
        await client.delete(PATH)
        await heard.get()


async def test_hardware_is_what_the_living_workers_have_and_can_be_deployed_on(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    cpu, gpu = {"sku": "cpu", "name": "CPU"}, {"sku": "gpu-h100-80gb-hbm3", "name": "NVIDIA H100 80GB HBM3"}
    assert (await client.get("/v1/hardware")).json() == [cpu]
    for _ in range(2):
        await add_worker(rows.database, report={"devices": ["CPU", "NVIDIA H100 80GB HBM3"]})
    assert (await client.get("/v1/hardware")).json() == [cpu, gpu]
    await created(client, rows, hardware=gpu["sku"])
    async with rows.database.transaction() as transaction:
        await transaction.execute(update(Worker).values(last_seen=clock(-3600)))
    assert (await client.get("/v1/hardware")).json() == [cpu]
    refused = await client.post("/v1/deployments", json=wish(rows, name="late", hardware=gpu["sku"]))
    assert "no worker has this hardware at present; there is cpu" in refused.json()["detail"]
