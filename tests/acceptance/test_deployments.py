"""Deployments with Replicate's own clients, on a whole Pinion whose worker keeps up what they ask for."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest
import replicate
from replicate.exceptions import ReplicateError

from tests.acceptance import javascript_client
from tests.instance import Api, Instance, until


@pytest.fixture
def client(instance: Instance) -> Iterator[replicate.Client]:
    client = replicate.Client(api_token=instance.token, base_url=instance.address)
    with closing(client._client):
        yield client


def processes(instance: Instance, version: str) -> list[psutil.Process]:
    return [process for process in instance.processes("model") if version in _folder(process)]


def _folder(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:  # it has just ended
        return ""


def held(api: Api, version: str) -> dict[str, Any]:
    """What the workers tell of a version; nothing if none holds it."""
    models = [model for worker in api.get("/workers").json()["results"] for model in worker["models"]]
    return next((model for model in models if model["version"] == version), {})


def test_the_python_client_makes_changes_lists_runs_stops_and_deletes_one(
    instance: Instance, client: replicate.Client, api: Api
):
    model, _, version = instance.model("counts_slowly").partition(":")
    made = client.deployments.create(
        name="pinion/counting", model=model, version=version, hardware="cpu", min_instances=1, max_instances=2
    )
    assert (made.id, made.current_release.number) == ("pinion/counting", 1)
    assert made.current_release.created_by.username == "pinion"
    until(lambda: held(api, version).get("min_instances") == 1)
    assert client.deployments.get("pinion/counting") == made
    assert made in list(client.deployments.list())
    prediction = made.predictions.create(input={"to": 3}, wait=True)
    assert (prediction.status, prediction.output) == ("succeeded", ["1 ", "2 ", "3 "])
    assert api.prediction(prediction.id)["deployment"] == "pinion/counting"
    with pytest.raises(ReplicateError, match="set its min_instances and max_instances to 0"):
        client.deployments.delete("pinion", "counting")
    long = made.predictions.create(input={"to": 1000})
    api.until_status(long.id, "processing")
    stopped = client.deployments.update("pinion", "counting", min_instances=0, max_instances=0)
    assert stopped.current_release.number == 2
    api.until_status(long.id, "canceled")
    until(lambda: not processes(instance, version))
    with pytest.raises(ReplicateError, match="Deployment stopped"):
        made.predictions.create(input={"to": 3})
    with pytest.raises(ReplicateError, match="in the last 15 minutes"):
        client.deployments.delete("pinion", "counting")


def test_one_that_was_never_used_can_be_deleted_once_it_is_stopped(instance: Instance, client: replicate.Client):
    model, _, version = instance.model("counts_slowly").partition(":")
    client.deployments.create(
        name="unused", model=model, version=version, hardware="cpu", min_instances=0, max_instances=0
    )
    assert client.deployments.delete("pinion", "unused")
    with pytest.raises(ReplicateError, match="404"):
        client.deployments.get("pinion/unused")


def test_an_instance_is_up_before_anybody_asks_and_again_after_it_was_killed(
    instance: Instance, client: replicate.Client, api: Api
):
    model, _, version = instance.model("echo").partition(":")
    wish = {"model": model, "version": version, "hardware": "cpu", "min_instances": 2, "max_instances": 2}
    client.deployments.create(name="kept", **wish)
    [first, second] = until(lambda: (found := processes(instance, version))[1:] and found)
    until(lambda: held(api, version).get("state") == "warm")
    first.kill()
    [kept, new] = until(lambda: (found := processes(instance, version))[1:] and first not in found and found)
    assert second in (kept, new)
    until(lambda: "2 of 2 to 2" in instance.command("ps").stdout)
    client.deployments.update("pinion", "kept", min_instances=0, max_instances=0)
    until(lambda: not processes(instance, version))


def test_the_javascript_client_makes_changes_runs_and_stops_one(instance: Instance):
    javascript_client.require()
    model, _, version = instance.model("counts_slowly").partition(":")
    found = javascript_client.answer_of(instance, "deployments.mjs", "scripted", model, version, {"to": 2})
    assert found["created"] == found["found"]
    assert found["updated"]["current_release"]["number"] == 2
    assert found["updated"]["current_release"]["configuration"]["max_instances"] == 2
    assert found["isListed"]
    assert (found["ended"]["status"], found["ended"]["output"]) == ("succeeded", ["1 ", "2 "])
    assert found["stopped"]["current_release"]["number"] == 3
    assert {"sku": "cpu", "name": "CPU"} in found["hardware"]
