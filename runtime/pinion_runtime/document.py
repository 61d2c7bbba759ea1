"""The fixed part of the OpenAPI document: what every Cog model answers, whatever its input and output.

Nothing here depends on a model; Input and Output come from schema.py.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

Json = Dict[str, Any]


def document(components: Json, *, is_streaming: bool, is_trainable: bool) -> Json:
    schemas = {**components, **_fixed_components()}
    paths = {**_paths(), **_paths_of(_PREDICTION)}
    if is_streaming:
        paths["/predictions"]["post"]["x-cog-streaming"] = True
    if is_trainable:
        schemas.update(_request_and_response(_TRAINING))
        paths.update(_paths_of(_TRAINING))
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


class _Doing(NamedTuple):
    """The words of the two things that can be asked of a model."""

    place: str
    verb: str
    noun: str
    cancel: str
    components: str

    @property
    def title(self) -> str:
        return self.noun.title()


_PREDICTION = _Doing("predictions", "predict", "prediction", "cancel", "")
_TRAINING = _Doing("trainings", "train", "training", "cancel_training", "Training")
RESERVED = frozenset(
    f"{prefix}{name}"
    for prefix, names in (
        ("", ("Input", "Output", "Status", "WebhookEvent", "HTTPValidationError", "ValidationError")),
        ("Prediction", ("Request", "Response")),
        ("Training", ("Input", "Output", "Request", "Response")),
    )
    for name in names
)
"""Components no record of a model can be called like."""


def _paths() -> Json:
    return {
        "/": {"get": _operation("Root", "root__get")},
        "/health-check": {"get": _operation("Healthcheck", "healthcheck_health_check_get")},
        "/shutdown": {"post": _operation("Start Shutdown", "start_shutdown_shutdown_post")},
    }


def _paths_of(doing: _Doing) -> Json:
    place, verb, noun, key = doing.place, doing.verb, doing.noun, f"{doing.noun}_id"
    answer, body = _reference(f"{doing.title}Response"), _body(f"{doing.title}Request")
    by_id = _parameter(key, "path", is_required=True)
    one = f"/{place}/{{{key}}}"
    create = _operation(verb.title(), f"{verb}_{place}_post", [_prefer()], answer)
    put_name = f"{verb}_idempotent_{place}__{key}__put"
    put = _operation(f"{verb.title()} Idempotent", put_name, [by_id, _prefer()], answer)
    cancel_title = doing.cancel.title().replace("_", " ")
    cancel = _operation(cancel_title, f"{doing.cancel}_{place}__{key}__cancel_post", [by_id])
    run = f"Run a single {noun} on the model"
    return {
        f"/{place}": {"post": {**create, "description": run, "requestBody": body}},
        one: {
            "put": {**put, "description": f"{run} (idempotent creation).", "requestBody": {**body, "required": True}}
        },
        f"{one}/cancel": {"post": {**cancel, "description": f"Cancel a running {noun}"}},
    }


def _operation(summary: str, name: str, parameters: list[Json] | None = None, answer: Json | None = None) -> Json:
    responses = {"200": _response("Successful Response", answer or {"title": f"Response {name}".title()})}
    if parameters is None:
        return {"summary": summary, "operationId": name, "responses": responses}
    responses["422"] = _response("Validation Error", _reference("HTTPValidationError"))
    return {"summary": summary, "operationId": name, "parameters": parameters, "responses": responses}


def _response(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body(request: str) -> Json:
    return {"content": {"application/json": {"schema": _reference(request)}}}


def _prefer() -> Json:
    return _parameter("prefer", "header", is_required=False)


def _parameter(name: str, place: str, *, is_required: bool) -> Json:
    title = name.title().replace("_", " ")
    return {"in": place, "name": name, "required": is_required, "schema": {"title": title, "type": "string"}}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _request_and_response(doing: _Doing) -> Json:
    request, response = f"{doing.title}Request", f"{doing.title}Response"
    return {
        request: _object(request, _request(doing.components)),
        response: _object(response, _answer(doing.components)),
    }


def _fixed_components() -> Json:
    return {
        **_request_and_response(_PREDICTION),
        "Status": _enumeration("Status", ["starting", "processing", "succeeded", "canceled", "failed"]),
        "WebhookEvent": _enumeration("WebhookEvent", ["start", "output", "logs", "completed"]),
        "HTTPValidationError": _object(
            "HTTPValidationError",
            {"detail": {"title": "Detail", "type": "array", "items": _reference("ValidationError")}},
        ),
        "ValidationError": {
            **_object("ValidationError", {"loc": _location(), "msg": _text("Message"), "type": _text("Error Type")}),
            "required": ["loc", "msg", "type"],
        },
    }


def _request(prefix: str) -> Json:
    return {
        "id": _text("Id"),
        "input": _reference(f"{prefix}Input"),
        "created_at": _time("Created At"),
        "context": {"title": "Context", "type": "object", "additionalProperties": {"type": "string"}},
        "output_file_prefix": _text("Output File Prefix"),
        "webhook": {**_text("Webhook"), "minLength": 1, "maxLength": 65536, "format": "uri"},
        "webhook_events_filter": {
            "title": "Webhook Events Filter",
            "type": "array",
            "items": _reference("WebhookEvent"),
            "default": ["start", "output", "logs", "completed"],
        },
    }


def _answer(prefix: str) -> Json:
    return {
        "input": _reference(f"{prefix}Input"),
        "output": _reference(f"{prefix}Output"),
        "id": _text("Id"),
        "version": _text("Version"),
        "created_at": _time("Created At"),
        "started_at": _time("Started At"),
        "completed_at": _time("Completed At"),
        "status": _reference("Status"),
        "error": _text("Error"),
        "logs": {**_text("Logs"), "default": ""},
        "metrics": {"title": "Metrics", "type": "object"},
    }


def _object(title: str, properties: Json) -> Json:
    return {"title": title, "type": "object", "properties": properties}


def _enumeration(title: str, values: list[str]) -> Json:
    return {"title": title, "description": "An enumeration.", "enum": values, "type": "string"}


def _text(title: str) -> Json:
    return {"title": title, "type": "string"}


def _time(title: str) -> Json:
    return {**_text(title), "format": "date-time"}


def _location() -> Json:
    return {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}
