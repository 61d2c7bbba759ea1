"""Predictions on the wire.

What stands in `input` and `output` is said by the version's schema, not here.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.page import Page
from shared.contract.vocabulary import Status, WebhookEvent


class PredictionRequest(BaseModel):
    """Body of `POST /models/{owner}/{name}/predictions`."""

    model_config = ConfigDict(extra="forbid")

    input: dict[str, Any] = Field(examples=[{"prompt": "spell: 4217"}])
    webhook: str | None = None
    webhook_events_filter: list[WebhookEvent] | None = None
    webhook_completed: str | None = Field(default=None, json_schema_extra={"deprecated": True})
    stream: bool | None = Field(default=None, json_schema_extra={"deprecated": True})


class VersionPredictionRequest(PredictionRequest):
    """Body of `POST /predictions`."""

    version: str = Field(examples=["pinion/tiny-t5"])


class PredictionUrls(BaseModel):
    """Where to read, cancel, look at and stream a prediction; `stream` only if the model can."""

    get: str
    cancel: str
    web: str
    stream: str | None = None


class Prediction(BaseModel):
    """A prediction as clients see it."""

    id: str
    model: str
    version: str
    deployment: str | None = None
    input: dict[str, Any] | None
    output: Any = None
    logs: str
    error: str | None
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    data_removed: bool
    metrics: dict[str, Any] | None = None
    urls: PredictionUrls
    source: str = "api"
    deadline: datetime | None = None
    webhook: str | None = None
    webhook_events_filter: list[WebhookEvent] | None = None


class PredictionPage(Page[Prediction]):
    """Predictions, newest first."""
