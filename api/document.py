"""The OpenAPI document of our own API: what the routes say of themselves, and what holds for all of them.

It is put together once, when somebody asks for it. The pages that show it stand in `routes/docs`.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.types import Lifespan

from api.documentation import problem
from api.samples import SAMPLES
from shared import contract

ABOUT = """\
Replicate's HTTP API on your own machines: its official clients work with another base URL and another token.

Every address also works without `/v1`. Every answer has an `X-Request-Id`, your own if you send one. Errors are
`application/problem+json`; lists come in pages whose `next` is followed as it is. Operations that Replicate does not
have say «Ours».
"""
TAGS = {
    "predictions": "A prediction is one run of a version: `starting`, `processing`, then `succeeded`, `failed` or "
    "`canceled`.",
    "trainings": "A training runs a version's `train()`; what it makes becomes a version of another model.",
    "models": "Models, their READMEs and examples, and how to find them.",
    "versions": "Versions of a model, and how one is pushed: say what the folder holds, send what is missing, say it "
    "again.",
    "collections": "Models that belong together, chosen by whoever runs Pinion.",
    "deployments": "A name that stays while versions change, with processes that are kept up for it.",
    "hardware": "What models can run on here.",
    "files": "Files to be given as inputs, and those that models have made.",
    "workers": "Which models run where. Ours.",
    "account": "Whose token it is.",
    "webhooks": "The secret that signs them, receivers of everything, what was sent and what came of it. Ours but for "
    "reading the secret.",
    "health": "For whoever runs Pinion. Ours.",
}
_VERSION = "3.2.0"
"""The first that knows the method QUERY."""
_COMPONENT = "#/components/schemas/"
_OF_FASTAPI = ("HTTPValidationError", "ValidationError")
"""Its own words for bad parameters, which the handlers in `errors` replace."""
_ALWAYS_ANSWERS = "health.live"


class DescribedApp(FastAPI):
    """A FastAPI whose document is complete; it has no pages of its own."""

    def __init__(self, lifespan: Lifespan[Any]) -> None:
        super().__init__(
            title="Pinion",
            version="1.0.0",
            description=ABOUT,
            openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            servers=[{"url": "/", "description": "This Pinion"}],
            license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
            lifespan=lifespan,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )
        self.openapi_version = _VERSION

    def openapi(self) -> dict[str, Any]:
        """The document, made when it is first asked for."""
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    for path in document["paths"].values():
        for method, operation in path.items():
            _complete_responses(operation, is_reading=method in ("get", "query"))
    schemas = document["components"]["schemas"]
    for name in _OF_FASTAPI:
        schemas.pop(name, None)
    missing = {name for name in _references(document) if name not in schemas}
    shapes = [(getattr(contract, name), "validation") for name in sorted(missing)]
    _, named = models_json_schema(shapes, ref_template=_COMPONENT + "{model}")  # type: ignore[arg-type]
    schemas.update(named["$defs"])
    for name, sample in SAMPLES.items():
        schemas[name]["examples"] = [sample]
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _complete_responses(operation: dict[str, Any], is_reading: bool) -> None:
    responses = operation["responses"]
    if _is_fastapis(responses.get("422", {})):
        del responses["422"]
    usual = () if operation["operationId"] == _ALWAYS_ANSWERS else (503,)
    for permission in operation.get("security", ()):
        usual = (401, *((403,) if any(permission.values()) else ()), 429, *usual)
    if not is_reading:
        usual = (*usual, 507)
    for status in usual:
        responses.setdefault(str(status), problem(status))
    operation["responses"] = dict(sorted(responses.items()))


def _is_fastapis(response: dict[str, Any]) -> bool:
    return any(name in _OF_FASTAPI for name in _references(response))


def _references(node: Any) -> Iterator[str]:
    """Names of the components that are referred to anywhere inside."""
    if isinstance(node, dict):
        if isinstance(found := node.get("$ref"), str):
            yield found.removeprefix(_COMPONENT)
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)
