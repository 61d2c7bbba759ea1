"""What a client says of a create beside its body: how long to wait, how long it may live, whether it asks again.

Reads headers. What is done about them stands in `creation`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from pydantic import WithJsonSchema

from api.dependencies import token_of
from shared.contract import PredictionRequest
from shared.creates import Identity, identify
from shared.errors import InvalidRequest, Problem
from shared.webhooks import is_message_id

WAIT_SECONDS_MAX = 55.0
"""Below the 60 s after which one official client gives up and asks again."""
LIFETIME_SECONDS_MIN = 5
LIFETIME_SECONDS_MAX = 365 * 86_400
KEY_CHARACTERS_MAX = 255
_PREFER_WAIT = re.compile(r"(?:^|,)\s*wait(?:\s*=\s*\"?(\d+(?:\.\d+)?)\"?)?\s*(?:,|;|$)", re.IGNORECASE)
_LIFETIME = re.compile(r"(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?|(\d{1,9})", re.ASCII)
_RETRIES = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """The headers of one create, read."""

    wait_seconds: float | None
    lifetime_seconds: float | None
    path: str
    token: str
    key: str | None
    retries: int | None

    def identity(self, account_id: str, wanted: PredictionRequest) -> Identity:
        """By what this create would be known if it came again."""
        if self.key is None and self.retries is None:
            return Identity()
        body = wanted.model_dump(exclude_unset=True)
        return identify(account_id, self.key, self.retries or 0, self.path, body)

    def without_token(self, input: Mapping[str, Any]) -> dict[str, Any]:
        """An input without the token of the request.

        Replicate's JavaScript client 1.4.0 sends itself in the place of the input when files go as data URLs, with the
        token under `auth`.
        """
        return {name: value for name, value in input.items() if value != self.token}


async def create_options(
    request: Request,
    prefer: Annotated[
        list[str] | None,
        WithJsonSchema({"type": "string", "examples": ["wait=10"]}),  # it may come in several lines
        Header(alias="Prefer", description="`wait` or `wait=n`: hold the answer for up to n seconds."),
    ] = None,
    cancel_after: Annotated[
        str | None,
        Header(
            alias="Cancel-After",
            description="End it after this time, as `90s`, `5m` or `1h30m45s`; at least 5 seconds.",
        ),
    ] = None,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="A create that comes again with the same key within a day makes nothing new.",
        ),
    ] = None,
    x_stainless_retry_count: Annotated[str | None, Header(include_in_schema=False)] = None,
    webhook_id: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> CreateOptions:
    """InvalidRequest for a lifetime or a key that cannot be meant, and for a create that is a webhook of ours."""
    _check_no_webhook(webhook_id)
    return CreateOptions(
        wait_seconds(",".join(prefer or ())),
        lifetime_seconds(cancel_after),
        request.url.path,
        token_of(request),
        _checked_key(idempotency_key),
        _retries(x_stainless_retry_count),
    )


Options = Annotated[CreateOptions, Depends(create_options)]


def wait_seconds(prefer: str) -> float | None:
    """Seconds to hold a create for, or None; what cannot be read is no wish, as RFC 7240 has it."""
    found = _PREFER_WAIT.search(prefer)
    if not found:
        return None
    return min(max(float(found[1] or WAIT_SECONDS_MAX), 1.0), WAIT_SECONDS_MAX)


def lifetime_seconds(cancel_after: str | None) -> float | None:
    """From `Cancel-After`; unlike a wait it is no wish, so what cannot be read is an error."""
    if cancel_after is None:
        return None
    found = _LIFETIME.fullmatch(cancel_after.strip())
    hours, minutes, seconds, plain = (int(part or 0) for part in (found.groups() if found else (0, 0, 0, 0)))
    total = hours * 3600 + minutes * 60 + seconds + plain
    if not LIFETIME_SECONDS_MIN <= total <= LIFETIME_SECONDS_MAX:
        bounds = f"from {LIFETIME_SECONDS_MIN}s to {LIFETIME_SECONDS_MAX // 3600}h"
        raise InvalidRequest([Problem("format", "Cancel-After", f"Must be a time {bounds}, as 90s, 5m or 1h30m45s")])
    return float(total)


def _check_no_webhook(webhook_id: str | None) -> None:
    """A prediction whose webhook made the next one would never be the last."""
    if webhook_id is not None and is_message_id(webhook_id):
        sentence = "This is a webhook that Pinion has sent. Nothing is created by one, so that none can cause itself"
        raise InvalidRequest([Problem("additional_property_not_allowed", "webhook-id", sentence)])


def _checked_key(key: str | None) -> str | None:
    if key is not None and not 0 < len(key) <= KEY_CHARACTERS_MAX:
        sentence = f"Must have 1 to {KEY_CHARACTERS_MAX} characters"
        raise InvalidRequest([Problem("string_lte" if key else "string_gte", "Idempotency-Key", sentence)])
    return key


def _retries(count: str | None) -> int | None:
    """How often the client says that it has tried before; what is no number says nothing."""
    return int(count) if count and _RETRIES.fullmatch(count) else None
