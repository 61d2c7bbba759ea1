"""Pieces of our OpenAPI document that FastAPI cannot see, because bodies are read and checked by us.

Documentation only: nothing here is run for a request. What holds for all operations is added in `document`.
"""

from typing import Any

from pydantic import BaseModel

from shared import contract

DESCRIPTIONS = {
    400: "Cannot be read",
    401: "No valid token",
    403: "Not allowed with this token; `detail` names the scope it lacks",
    404: "Not there, or not yours",
    406: "`Accept` excludes what this gives",
    409: "Not in this state; `detail` says what holds",
    413: "Too large",
    415: "Not the media type this takes",
    416: "There is no such range",
    422: "Invalid fields",
    429: "Too many requests; `Retry-After` says for how long",
    503: "A server behind us is not reachable",
    507: "No room left to store this",
}
_RETRY_AFTER = {"Retry-After": {"description": "Whole seconds to wait.", "schema": {"type": "integer"}}}
_HEADERS = {429: _RETRY_AFTER, 503: _RETRY_AFTER}
_APPLIED = {"Preference-Applied": {"description": "How long it was ready to wait.", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "Where to read on.", "schema": {"type": "string", "format": "uri"}}}
SENT = (400, 413, 415, 422)
"""Refusals of a JSON body."""

Responses = dict[int | str, dict[str, Any]]


def _accepted(shape: type[BaseModel]) -> Responses:
    return {
        201: {
            "model": shape,
            "description": "Accepted; with `Prefer: wait` it has ended",
            "headers": _APPLIED,
        },
        202: {
            "model": shape,
            "description": "Accepted; it did not end within the wait",
            "headers": {**_APPLIED, **_LOCATION},
        },
    }


PREDICTED = _accepted(contract.Prediction)
"""Answers to the create of a prediction, whichever door it came through."""
TRAINED = _accepted(contract.Training)
"""Answers to the create of a training."""


def problems(*statuses: int) -> Responses:
    """Refusals an operation is known for, beside those that all of its kind may give."""
    return {status: problem(status) for status in statuses}


def problem(status: int) -> dict[str, Any]:
    """One refusal."""
    content = {"application/problem+json": {"schema": reference(contract.Problem)}}
    return {"description": DESCRIPTIONS[status], "headers": _HEADERS.get(status, {}), "content": content}


def reference(shape: type[BaseModel]) -> dict[str, str]:
    """A shape by its name; `document` puts it among the components."""
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def json_request(shape: type[BaseModel]) -> dict[str, Any]:
    """The request body of an operation."""
    return request_body({"application/json": {"schema": reference(shape)}})


def request_body(content: dict[str, Any]) -> dict[str, Any]:
    """A request body by media types."""
    return {"requestBody": {"required": True, "content": content}}


def answers(status: int, description: str, content: dict[str, Any]) -> Responses:
    """An answer that is no JSON in one of our shapes, by media types."""
    return {status: {"description": description, "content": content}}
