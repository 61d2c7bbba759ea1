"""Our own OpenAPI document, and the pages that show it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV32SpecValidator
from starlette.testclient import TestClient

from api.app import create_app
from api.samples import SAMPLES
from shared import contract
from shared.contract import Status
from shared.settings import Settings

APP = create_app(Settings())
DOCUMENT = APP.openapi()
OPERATIONS: dict[str, Any] = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
OF_REPLICATE = {
    "account.get",
    "collections.get",
    "collections.list",
    "deployments.create",
    "deployments.delete",
    "deployments.get",
    "deployments.list",
    "deployments.predictions.create",
    "deployments.update",
    "files.create",
    "files.delete",
    "files.download",
    "files.get",
    "files.list",
    "hardware.list",
    "models.create",
    "models.delete",
    "models.examples.list",
    "models.get",
    "models.list",
    "models.predictions.create",
    "models.readme.get",
    "models.search",
    "models.update",
    "models.versions.delete",
    "models.versions.get",
    "models.versions.list",
    "predictions.cancel",
    "predictions.create",
    "predictions.get",
    "predictions.list",
    "search",
    "trainings.cancel",
    "trainings.create",
    "trainings.get",
    "trainings.list",
    "webhooks.default.secret.get",
}
NEEDS_NO_TOKEN = {
    "predictions.stream",
    "predictions.stream_files",
    "files.download",
    "outputs.download",
    "health.live",
    "health.ready",
}


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        yield from references(each)


def schema_of(media: dict[str, Any]) -> dict[str, Any]:
    """A schema that stands by itself."""
    return {**media["schema"], "components": DOCUMENT["components"]}


def examples_of(media: dict[str, Any]) -> list[Any]:
    if "example" in media:
        return [media["example"]]
    name = media["schema"].get("$ref", "").rpartition("/")[2]
    return list(DOCUMENT["components"]["schemas"].get(name, {}).get("examples", []))


def test_the_document_is_a_valid_one():
    assert DOCUMENT["openapi"] == "3.2.0"
    assert [error.message for error in OpenAPIV32SpecValidator(DOCUMENT).iter_errors()] == []


def test_every_operation_of_replicate_is_there_under_its_name():
    assert {operation["operationId"] for operation in OPERATIONS.values()} >= OF_REPLICATE


def test_every_operation_has_an_id_of_its_own():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described(name: str):
    operation = OPERATIONS[name]
    assert operation["summary"]
    assert operation["description"].strip()
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}
    assert any(status.startswith("2") for status in operation["responses"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_body_has_an_example_that_is_valid(name: str):
    contents = OPERATIONS[name].get("requestBody", {}).get("content", {})
    is_writing = name.startswith(("POST", "PUT", "PATCH", "QUERY")) and not name.endswith(
        ("/cancel", "/test", "}/replay")
    )
    assert bool(contents) == is_writing
    for media in contents.values():
        examples = examples_of(media)
        assert examples
        for example in examples:
            jsonschema_rs.validate(schema_of(media), example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_in_json_has_a_shape_and_an_example_that_is_valid(name: str):
    for status, response in OPERATIONS[name]["responses"].items():
        for kind, media in response.get("content", {}).items():
            if "json" not in kind:
                continue
            assert media["schema"], status
            item = media["schema"].get("items")
            examples = examples_of({"schema": item} if item else media)
            assert examples, (status, media)
            for example in examples:
                jsonschema_rs.validate(schema_of(media), [example] if item else example)


@pytest.mark.parametrize("name", OPERATIONS)
def test_refusals_have_the_one_form(name: str):
    operation = OPERATIONS[name]
    needs_token = operation["operationId"] not in NEEDS_NO_TOKEN
    assert ("security" in operation, "401" in operation["responses"]) == (needs_token, needs_token)
    for status, response in operation["responses"].items():
        if status >= "400" and operation["operationId"] not in NEEDS_NO_TOKEN:
            assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("name", SAMPLES)
def test_an_example_has_no_key_that_its_shape_does_not_know(name: str):
    """A schema would let it pass."""
    shape = getattr(contract, name)
    shown = shape.model_validate_json(json.dumps(SAMPLES[name])).model_dump(mode="json", exclude_unset=True)
    assert shown.keys() == SAMPLES[name].keys()


def test_every_reference_leads_somewhere():
    for reference in references(DOCUMENT):
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_the_statuses_of_the_document_are_those_of_the_contract():
    assert DOCUMENT["components"]["schemas"]["Status"]["enum"] == [status.value for status in Status]


def test_the_page_and_everything_it_loads_come_from_here():
    client = TestClient(APP)
    page = client.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    loaded = re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.text)
    assert loaded == ["docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/docs.js"]
    for address in loaded:
        asset = client.get(f"/{address}")
        assert asset.status_code == 200
        kind = "text/css" if address.endswith(".css") else "text/javascript"
        assert asset.headers["content-type"].startswith(kind)
        assert "@import" not in asset.text
    assert '"openapi.json"' in client.get("/docs/docs.js").text
    assert client.get("/openapi.json").json() == DOCUMENT
    assert client.get("/docs/unknown").status_code == 404
