"""models_2.py create|find|remove OWNER NAME: a model's life in the words of the Python client's second generation."""

import json
import sys

import replicate
from replicate import Replicate

act, owner, name = sys.argv[1:]
client = Replicate()
of_model = {"model_owner": owner, "model_name": name}


def create():
    wanted = {"visibility": "private", "hardware": "cpu", "description": "says it again"}
    return client.models.create(owner=owner, name=name, **wanted).to_dict()


def find():
    model = client.models.get(**of_model)
    versions = list(client.models.versions.list(**of_model))
    version = client.models.versions.get(**of_model, version_id=versions[0].id)
    collections = list(client.collections.list())
    client.models.update(**of_model, readme="# Echo")
    return {
        "latest": model.latest_version.id,
        "example": model.default_example["output"],
        "versions": [each.id for each in versions],
        "inputs": list(version.openapi_schema["components"]["schemas"]["Input"]["properties"]),
        "found": [each.name for each in client.models.search(body=name)],
        "isListed": f"{owner}/{name}" in [f"{each.owner}/{each.name}" for each in client.models.list()],
        "collected": [each.name for each in client.collections.get(collection_slug=collections[0].slug).models],
        "readme": client.models.readme.get(**of_model),
        "examples": [each.output for each in client.models.examples.list(**of_model)],
        "everywhere": [each.model.name for each in client.search(query=name).models],
        "sorted": next(iter(client.models.list(sort_by="model_created_at", sort_direction="desc"))).name,
    }


def remove():
    version_id = client.models.get(**of_model).latest_version.id
    version = client.models.versions.with_raw_response.delete(**of_model, version_id=version_id)
    model = client.models.with_raw_response.delete(**of_model)
    try:
        client.models.get(**of_model)
    except replicate.NotFoundError as error:
        return {"version": version.status_code, "model": model.status_code, "after": error.status_code}


print(json.dumps({"create": create, "find": find, "remove": remove}[act](), default=str))
