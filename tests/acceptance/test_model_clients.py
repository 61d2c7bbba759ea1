"""The life of a model as Replicate's clients lead it: made, pushed to, looked up and looked for, and deleted."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
import replicate
from replicate.exceptions import ReplicateError

from tests.acceptance import javascript_client, python_clients
from tests.instance import PREDICTORS, Api, Instance, on_one_backend

pytestmark = on_one_backend
Act = Callable[[str, str], Any]
"""What a client answers to `create`, `find` or `remove`, and the name of a model."""


def javascript(instance: Instance, base: str) -> Act:
    javascript_client.require()
    return lambda act, name: javascript_client.answer_of(instance, "models.mjs", act, "pinion", name)


def python_2(instance: Instance, base: str) -> Act:
    python_clients.require("replicate-2")
    address = instance.address + base
    return lambda act, name: python_clients.answer_of(
        instance, "replicate-2", "models_2.py", act, "pinion", name, base_url=address
    )


def python_1(instance: Instance, base: str) -> Act:
    def act(act: str, name: str) -> Any:
        client = replicate.Client(api_token=instance.token, base_url=instance.address + base)
        with closing(client._client):
            return {"create": create, "find": find, "remove": remove}[act](client, name)

    return act


def create(client: replicate.Client, name: str) -> Any:
    wanted: dict[str, Any] = {"visibility": "private", "hardware": "cpu", "description": "says it again"}
    return client.models.create("pinion", name, **wanted).dict()


def find(client: replicate.Client, name: str) -> Any:
    model = client.models.get("pinion", name)
    versions = list(model.versions.list())
    assert model.latest_version
    assert model.default_example
    schemas = model.versions.get(versions[0].id).openapi_schema["components"]["schemas"]
    collection = client.collections.get(client.collections.list()[0].slug)
    return {
        "latest": model.latest_version.id,
        "example": model.default_example.output,
        "versions": [version.id for version in versions],
        "inputs": list(schemas["Input"]["properties"]),
        "found": [each.name for each in client.models.search(name)],
        "isListed": name in [each.name for page in replicate.paginate(client.models.list) for each in page],
        "collected": [each.name for each in collection.models or []],
    }


def remove(client: replicate.Client, name: str) -> Any:
    model = client.models.get("pinion", name)
    assert model.latest_version
    # The client tells 204 alone from everything else, and Replicate answers 202 here.
    assert model.versions.delete(model.latest_version.id) is False
    assert client.models.delete("pinion", name) is True
    with pytest.raises(ReplicateError) as raised:
        client.models.get("pinion", name)
    return {"version": 202, "model": 204, "after": raised.value.status}


@pytest.mark.parametrize(
    ("connect", "base"),
    [(python_1, ""), (python_1, "/v1"), (python_2, ""), (python_2, "/v1"), (javascript, "")],
    ids=["python 1", "python 1 at /v1", "python 2", "python 2 at /v1", "javascript"],
)
def test_a_model_is_made_found_and_deleted(
    instance: Instance, api: Api, connect: Callable[[Instance, str], Act], base: str
):
    act = connect(instance, base)
    name = f"life-{connect.__name__.replace('_', '-')}{base.replace('/', '-')}"
    made = act("create", name)
    assert (made["name"], made["visibility"], made["description"]) == (name, "private", "says it again")
    assert (made["latest_version"], made["default_example"], made["run_count"]) == (None, None, 0)

    version = instance.push(PREDICTORS / "echo", f"pinion/{name}").partition(":")[2]
    prediction = api.create(version, wait=True, text="again")
    assert api.post(f"/models/pinion/{name}/examples", json={"prediction": prediction["id"]}).status_code == 201
    collected = instance.command("collection", "put", name, f"pinion/{name}")
    assert collected.returncode == 0, collected.stderr
    found = act("find", name)
    shared = {"latest": version, "example": prediction["output"], "versions": [version], "inputs": ["text"]}
    assert {**found, **shared, "found": [name], "isListed": True, "collected": [name]} == found
    more = {"readme": "# Echo", "examples": [prediction["output"]], "everywhere": [name], "sorted": name}
    assert {key: found.get(key) for key in more} in (more, dict.fromkeys(more))

    assert act("remove", name) == {"version": 202, "model": 204, "after": 404}
    assert api.prediction(prediction["id"])["output"] == prediction["output"]
    assert instance.command("collection", "remove", name).returncode == 0
