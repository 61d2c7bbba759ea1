"""The fixed part of the OpenAPI document: what every Cog model answers, whatever its input and output.

Nothing here depends on a model; Input and Output come from schema.py.
"""

from __future__ import annotations

from typing import Any, Dict

Json = Dict[str, Any]


def document(components: Json) -> Json:
    schemas = {**components, **_fixed_components()}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": _paths(),
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def _paths() -> Json:
    create = _operation("Predict", "predict_predictions_post", [_prefer()], _reference("PredictionResponse"))
    return {
        "/": {"get": _operation("Root", "root__get")},
        "/health-check": {"get": _operation("Healthcheck", "healthcheck_health_check_get")},
        "/shutdown": {"post": _operation("Start Shutdown", "start_shutdown_shutdown_post")},
        "/predictions": {
            "post": {**create, "description": "Run a single prediction on the model", "requestBody": _body()},
        },
        **_paths_of_one_prediction(),
    }


def _paths_of_one_prediction() -> Json:
    name = "predict_idempotent_predictions__prediction_id__put"
    by_id = _parameter("prediction_id", "path", is_required=True)
    put = _operation("Predict Idempotent", name, [by_id, _prefer()], _reference("PredictionResponse"))
    cancel = _operation("Cancel", "cancel_predictions__prediction_id__cancel_post", [by_id])
    return {
        "/predictions/{prediction_id}": {
            "put": {
                **put,
                "description": "Run a single prediction on the model (idempotent creation).",
                "requestBody": {**_body(), "required": True},
            },
        },
        "/predictions/{prediction_id}/cancel": {
            "post": {**cancel, "description": "Cancel a running prediction"},
        },
    }


def _operation(summary: str, name: str, parameters: list[Json] | None = None, answer: Json | None = None) -> Json:
    responses = {"200": _response("Successful Response", answer or {"title": f"Response {name}".title()})}
    if parameters is None:
        return {"summary": summary, "operationId": name, "responses": responses}
    responses["422"] = _response("Validation Error", _reference("HTTPValidationError"))
    return {"summary": summary, "operationId": name, "parameters": parameters, "responses": responses}


def _response(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _body() -> Json:
    return {"content": {"application/json": {"schema": _reference("PredictionRequest")}}}


def _prefer() -> Json:
    return _parameter("prefer", "header", is_required=False)


def _parameter(name: str, place: str, *, is_required: bool) -> Json:
    title = name.title().replace("_", " ")
    return {"in": place, "name": name, "required": is_required, "schema": {"title": title, "type": "string"}}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _fixed_components() -> Json:
    return {
        "PredictionRequest": _object("PredictionRequest", _request()),
        "PredictionResponse": _object("PredictionResponse", _answer()),
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


def _request() -> Json:
    return {
        "id": _text("Id"),
        "input": _reference("Input"),
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


def _answer() -> Json:
    return {
        "input": _reference("Input"),
        "output": _reference("Output"),
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
