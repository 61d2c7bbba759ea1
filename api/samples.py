"""One example of every shape on the wire, for our OpenAPI document.

Documentation only. A test checks each against its shape.
"""

from typing import Any

_BASE = "http://localhost:8000"
_ID = "hdwst0bb05rgp0cf0p29mzk2am"
_VERSION_ID = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"
_MOMENT = "2026-11-27T12:00:00.000000Z"
_LATER = "2026-11-27T12:00:00.412000Z"
_SHA256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
_MODEL = "pinion/tiny-t5"
_ONE_PAGE = {"next": None, "previous": None}
_ACCOUNT = {"type": "user", "username": "pinion", "name": "Pinion"}

_PREDICTION: dict[str, Any] = {
    "id": _ID,
    "model": _MODEL,
    "version": _VERSION_ID,
    "input": {"prompt": "spell: 4217"},
    "output": ["four thousand ", "two hundred ", "seventeen"],
    "logs": "",
    "error": None,
    "status": "succeeded",
    "source": "api",
    "data_removed": False,
    "created_at": _MOMENT,
    "started_at": _MOMENT,
    "completed_at": _LATER,
    "metrics": {"predict_time": 0.4, "total_time": 0.412},
    "urls": {
        "get": f"{_BASE}/v1/predictions/{_ID}",
        "cancel": f"{_BASE}/v1/predictions/{_ID}/cancel",
        "stream": f"{_BASE}/v1/streams/{_ID}{_ID}",
        "web": f"{_BASE}/p/{_ID}",
    },
}
_TRAINING: dict[str, Any] = {
    **_PREDICTION,
    "input": {"data": "https://example.com/data.zip"},
    "output": {"version": f"pinion/tuned:{_VERSION_ID}", "weights": f"{_BASE}/v1/outputs/{_ID}/weights.zip"},
    "destination": "pinion/tuned",
    "urls": {
        "get": f"{_BASE}/v1/trainings/{_ID}",
        "cancel": f"{_BASE}/v1/trainings/{_ID}/cancel",
        "web": f"{_BASE}/p/{_ID}",
    },
}
_VERSION: dict[str, Any] = {
    "id": _VERSION_ID,
    "created_at": _MOMENT,
    "cog_version": "0.16.12",
    "openapi_schema": {"openapi": "3.0.2", "components": {"schemas": {"Input": {"type": "object"}}}},
    "status": "ready",
    "logs": "",
    "error": None,
}
_SHOWN_MODEL: dict[str, Any] = {
    "url": f"{_BASE}/{_MODEL}",
    "owner": "pinion",
    "name": "tiny-t5",
    "description": "Spells numbers",
    "visibility": "public",
    "rerun": "before_output",
    "is_official": False,
    "github_url": None,
    "paper_url": None,
    "license_url": None,
    "weights_url": None,
    "run_count": 1,
    "cover_image_url": None,
    "default_example": None,
    "latest_version": _VERSION,
    "created_at": _MOMENT,
}
_COLLECTION = {"name": "Numbers", "slug": "numbers", "description": "Models that know numbers"}
_INSTANCES = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
_DEPLOYMENT: dict[str, Any] = {
    "owner": "pinion",
    "name": "number-words",
    "current_release": {
        "number": 1,
        "model": _MODEL,
        "version": _VERSION_ID,
        "created_at": _MOMENT,
        "created_by": _ACCOUNT,
        "configuration": _INSTANCES,
    },
}
_FILE: dict[str, Any] = {
    "id": _ID,
    "name": "hello.txt",
    "content_type": "text/plain",
    "size": 5,
    "etag": _SHA256,
    "checksums": {"sha256": _SHA256, "md5": "5d41402abc4b2a76b9719d911017c592"},
    "metadata": {},
    "created_at": _MOMENT,
    "expires_at": "2026-11-28T12:00:00.000000Z",
    "urls": {
        "get": f"{_BASE}/v1/files/{_ID}",
        "download": f"{_BASE}/v1/files/{_ID}/download?owner=pinion&expiry=1795867200&signature=c2lnbmVk",
    },
}
_HOLDING: dict[str, Any] = {
    "worker": _ID,
    "host": "box",
    "model": _MODEL,
    "version": _VERSION_ID,
    "state": "warm",
    "pid": 4242,
    "memory": {"host": 812_000_000},
    "running": 0,
    "concurrency": 1,
    "instances": 1,
    "min_instances": None,
    "max_instances": None,
    "last_used_at": _MOMENT,
    "failures": 0,
    "error": None,
    "retry_at": None,
    "logs": "",
}
_WORKER: dict[str, Any] = {
    "id": _ID,
    "host": "box",
    "created_at": _MOMENT,
    "last_seen_at": _LATER,
    "memory": [{"name": "host", "budget_bytes": 16_000_000_000, "taken_bytes": 812_000_000}],
    "models": [_HOLDING],
}
_ENDPOINT: dict[str, Any] = {
    "id": _ID,
    "url": "https://example.com/hooks/pinion",
    "disabled": False,
    "disabled_reason": None,
    "created_at": _MOMENT,
}
_MESSAGE: dict[str, Any] = {
    "id": "msg_2lcyfuv5rnmuguzgsx6vdbcmla",
    "event": "completed",
    "state": "delivered",
    "prediction": _ID,
    "endpoint": None,
    "url": "https://example.com/hooks/pinion?key=***",
    "attempts": 1,
    "next_attempt_at": None,
    "answer": "HTTP 200",
    "reason": None,
    "created_at": _MOMENT,
}
_ATTEMPT: dict[str, Any] = {
    "number": 1,
    "trigger": "scheduled",
    "answer": "HTTP 200",
    "status": 200,
    "response": "thanks",
    "location": None,
    "milliseconds": 41,
    "address": "203.0.113.7",
    "signed_by": ["9c1185a5"],
    "created_at": _LATER,
}

SAMPLES: dict[str, Any] = {
    "Account": _ACCOUNT,
    "Collection": {**_COLLECTION, "full_description": None, "models": [_SHOWN_MODEL]},
    "CollectionPage": {**_ONE_PAGE, "results": [_COLLECTION]},
    "Deployment": _DEPLOYMENT,
    "DeploymentChange": {"version": _VERSION_ID, "max_instances": 2},
    "DeploymentPage": {**_ONE_PAGE, "results": [_DEPLOYMENT]},
    "DeploymentRequest": {"name": "number-words", "model": _MODEL, "version": _VERSION_ID, **_INSTANCES},
    "EndpointChange": {"disabled": True},
    "EndpointPage": {**_ONE_PAGE, "results": [_ENDPOINT]},
    "EndpointRequest": {"url": "https://example.com/hooks/pinion"},
    "ExampleRequest": {"prediction": _ID},
    "File": _FILE,
    "FilePage": {**_ONE_PAGE, "results": [_FILE]},
    "Hardware": {"sku": "cpu", "name": "CPU"},
    "LoggedMessage": {**_MESSAGE, "log": [_ATTEMPT]},
    "MessagePage": {**_ONE_PAGE, "results": [_MESSAGE]},
    "MissingContents": {"missing": [{"sha256": _SHA256, "size": 5, "received": 0}]},
    "Model": _SHOWN_MODEL,
    "ModelCreate": {"owner": "pinion", "name": "my-model", "visibility": "private", "hardware": "cpu"},
    "ModelPage": {**_ONE_PAGE, "results": [_SHOWN_MODEL]},
    "ModelUpdate": {"description": "Spells numbers", "readme": "# Spells numbers"},
    "Prediction": _PREDICTION,
    "PredictionPage": {**_ONE_PAGE, "results": [_PREDICTION]},
    "PredictionRequest": {"input": {"prompt": "spell: 4217"}},
    "Problem": {
        "title": "Input validation failed",
        "detail": "- input: prompt is required\n",
        "status": 422,
        "invalid_fields": [{"type": "required", "field": "input", "description": "prompt is required"}],
    },
    "Push": {"files": [{"path": "cog.yaml", "size": 5, "sha256": _SHA256}], "visibility": "private"},
    "ReceivedContent": {"received": 5},
    "Replayed": {"replayed": 3},
    "DiscardRequest": {"before": _MOMENT},
    "Discarded": {"deleted": 3},
    "ReplayRequest": {"since": _MOMENT, "state": "dead"},
    "SearchResult": {
        "query": "numbers",
        "models": [
            {"model": _SHOWN_MODEL, "metadata": {"generated_description": None, "tags": [], "score": 0.8}},
        ],
        "collections": [{**_COLLECTION, "models": [_MODEL]}],
        "pages": [],
    },
    "SecretRotation": {"overlap_seconds": 86_400},
    "Training": _TRAINING,
    "TrainingPage": {**_ONE_PAGE, "results": [_TRAINING]},
    "TrainingRequest": {"destination": "pinion/tuned", "input": {"data": "https://example.com/data.zip"}},
    "Version": _VERSION,
    "VersionPage": {**_ONE_PAGE, "results": [_VERSION]},
    "VersionPredictionRequest": {"version": _MODEL, "input": {"prompt": "spell: 4217"}},
    "WebhookEndpoint": _ENDPOINT,
    "WebhookMessage": _MESSAGE,
    "WebhookSecret": {"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "WorkerList": {"results": [_WORKER]},
}
"""By the names of the shapes."""
