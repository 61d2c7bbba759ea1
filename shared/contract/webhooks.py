"""Webhooks on the wire: endpoints of an account, the messages owed, what came of each attempt, and the secret.

Except for reading the secret these are operations of ours; Replicate has none like them.
"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from shared.contract.page import Page


def _moment(text: object) -> object:
    """Pydantic would take a number for seconds since 1970."""
    if not isinstance(text, str) or not text[:4].isdigit() or text[4:5] != "-":
        raise ValueError("must be a moment with its time zone, as 2026-11-27T12:00:00Z")
    return text


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a moment after the year 1 and before the year 10000") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_in_utc)]
MessageState = Literal["pending", "delivering", "delivered", "dead"]
MessageEvent = Literal["start", "output", "logs", "completed", "test"]


class WebhookSecret(BaseModel):
    """The key that signs the account's webhooks."""

    key: str


class SecretRotation(BaseModel):
    """Body of `POST /webhooks/default/secret/rotate`: for how long the present key signs too."""

    model_config = ConfigDict(extra="forbid", strict=True)

    overlap_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 86_400


class EndpointRequest(BaseModel):
    """Body of `POST /webhooks/endpoints`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str = Field(examples=["https://example.com/hooks/pinion"])


class EndpointChange(BaseModel):
    """Body of `PATCH /webhooks/endpoints/{endpoint_id}`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    disabled: bool


class WebhookEndpoint(BaseModel):
    """A receiver that hears of the end of everything its account runs."""

    id: str
    url: str
    disabled: bool
    disabled_reason: str | None
    created_at: datetime


class EndpointPage(Page[WebhookEndpoint]):
    """Endpoints, newest first."""


class WebhookAttempt(BaseModel):
    """One attempt; `answer` says in words what `status` may not, `response` is the beginning of the answer's body.

    `address` is whom it was sent to, and `signed_by` has the ids of the secrets that signed it: the first eight digits
    of their SHA-256.
    """

    number: int
    trigger: Literal["scheduled", "replay", "test"]
    answer: str
    status: int | None
    response: str | None
    location: str | None
    milliseconds: int
    address: str | None
    signed_by: list[str] | None
    created_at: datetime


class WebhookMessage(BaseModel):
    """One message; passwords and query values of its address are masked."""

    id: str
    event: str
    state: MessageState
    prediction: str | None
    endpoint: str | None
    url: str
    attempts: int
    next_attempt_at: datetime | None
    answer: str | None
    reason: str | None
    created_at: datetime


class LoggedMessage(WebhookMessage):
    """A message with what came of every attempt, the first one first."""

    log: list[WebhookAttempt]


class MessagePage(Page[WebhookMessage]):
    """Messages, newest first."""


class ReplayRequest(BaseModel):
    """Body of `POST /webhooks/replay`: `completed` messages created since a moment, those given up unless told."""

    model_config = ConfigDict(extra="forbid")

    since: Moment
    state: Literal["dead", "delivered"] = "dead"


class DiscardRequest(BaseModel):
    """Body of `POST /webhooks/discard`: messages that were given up and created before a moment."""

    model_config = ConfigDict(extra="forbid")

    before: Moment


class Discarded(BaseModel):
    """How many messages were deleted."""

    deleted: int


class Replayed(BaseModel):
    """How many messages are due again."""

    replayed: int
