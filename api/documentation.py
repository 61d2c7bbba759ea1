"""Pieces of our OpenAPI document that FastAPI cannot see, because bodies are read and checked by us.

Documentation only: nothing here is run for a request.
"""

from typing import Any

from pydantic import BaseModel

from shared import contract

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": contract.Problem, "content": {"application/problem+json": {}}, "description": description}
    for status, description in {
        400: "Cannot be read",
        401: "No valid token",
        403: "Not allowed with this token; `detail` names the scope it lacks",
        404: "Not there, or not yours",
        413: "Too large",
        415: "Not the media type this takes",
        422: "Invalid fields",
        429: "Too many requests; `Retry-After` says for how long",
        503: "A server behind us is not reachable",
    }.items()
}
"""Error answers every operation may give."""


def json_request(shape: type[BaseModel]) -> dict[str, Any]:
    """The request body of an operation."""
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    for name, definition in definitions.items():
        _inline(schema, f"#/components/schemas/{name}", definition)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inline(node: Any, reference: str, definition: dict[str, Any]) -> None:
    """Put a definition in the place of its references: these schemas are not among the app's components."""
    if isinstance(node, dict):
        if node.get("$ref") == reference:
            node.pop("$ref")
            node.update(definition)
        for value in node.values():
            _inline(value, reference, definition)
    elif isinstance(node, list):
        for value in node:
            _inline(value, reference, definition)
