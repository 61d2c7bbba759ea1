"""What a client asks for: the body of a prediction or training, read and checked, in the words of Cog's own refusals.

Nothing is started or fetched here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from serving.interface import Interface
from shared.errors import InvalidRequest, MalformedBody, Problem
from shared.ids import new_id
from shared.json_body import parse_body

EVENTS = ("start", "output", "logs", "completed")
_TRACE_HEADERS = ("traceparent", "tracestate")
# The operator's own server takes an input of ten million numbers; the public API does not.
_VALUES_MAX = 10_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """A prediction, or a training, that could be begun."""

    id: str
    input: dict[str, Any]
    context: dict[str, str]
    created_at: str | None
    webhook: str | None
    webhook_events: frozenset[str]
    trace: Mapping[str, str]
    """Headers of the request that are repeated on what we send because of it."""


def read_wish(raw: bytes, headers: Mapping[str, str], interface: Interface, path_id: str | None = None) -> Wish:
    """InvalidRequest names everything that is wrong."""
    body = _parsed(raw)
    problems = [*_wrong_id(body, path_id), *_wrong_webhook(body), *_wrong_date(body), *_wrong_context(body)]
    try:
        known = interface.check(_or(body.get("input"), {}))
    except InvalidRequest as refusal:
        problems += refusal.problems
    if problems:
        raise InvalidRequest(problems)
    return Wish(
        id=path_id or body.get("id") or new_id(),
        input=known,
        context=_or(body.get("context"), {}),
        created_at=body.get("created_at"),
        webhook=body.get("webhook"),
        webhook_events=frozenset(_or(body.get("webhook_events_filter"), EVENTS)),
        trace={name: headers[name] for name in _TRACE_HEADERS if name in headers},
    )


def _parsed(raw: bytes) -> dict[str, Any]:
    """No body at all, and null, are a prediction without input."""
    if raw.strip() in (b"", b"null"):
        return {}
    try:
        return parse_body(raw, _VALUES_MAX)
    except MalformedBody as error:
        raise InvalidRequest([Problem("value_error.jsondecode", "", error.message)]) from None


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _wrong_id(body: Mapping[str, Any], path_id: str | None) -> list[Problem]:
    given = body.get("id")
    if given is not None and not isinstance(given, str):
        return [Problem("type_error.str", "id", "str type expected")]
    if given is not None and path_id is not None and given != path_id:
        return [Problem("value_error", "id", "must be the ID supplied in the URL")]
    return []


def _wrong_webhook(body: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if body.get("webhook") is not None and not _is_address(body["webhook"]):
        problems.append(Problem("value_error.url", "webhook", "must be an http or https URL"))
    events = _or(body.get("webhook_events_filter"), [])
    if not isinstance(events, list) or any(event not in EVENTS for event in events):
        problems.append(Problem("type_error.enum", "webhook_events_filter", f"permitted: {', '.join(EVENTS)}"))
    return problems


def _is_address(value: Any) -> bool:
    try:
        address = urlsplit(value)
        return address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
    except (ValueError, TypeError, AttributeError):
        return False


def _wrong_date(body: Mapping[str, Any]) -> list[Problem]:
    given = body.get("created_at")
    try:
        if given is not None:
            datetime.fromisoformat(given)
    except (ValueError, TypeError):
        return [Problem("value_error.datetime", "created_at", "invalid datetime format")]
    return []


def _wrong_context(body: Mapping[str, Any]) -> list[Problem]:
    given = _or(body.get("context"), {})
    if isinstance(given, dict) and all(isinstance(value, str) for value in given.values()):
        return []
    return [Problem("type_error.dict", "context", "must be an object of texts")]
