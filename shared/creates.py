"""Creates that come more than once: a client that got no answer asks again, and means the same prediction.

By its Idempotency-Key, or because it says that it retries. What a prediction is made of is the business of `lifecycle`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import time
from types import SimpleNamespace
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.exc import IntegrityError

from shared import lifecycle
from shared.contract import Status
from shared.database import Database, clock
from shared.errors import InvalidRequest, Problem
from shared.tables import Prediction

KEY_SECONDS = 86_400.0
"""A key means the same prediction for at least this long; the sweep forgets it afterwards."""
RETRY_SECONDS = 600.0
"""Replicate's Python client 2.x asks three times, a minute each."""
_REUSED = Problem(
    "reused", "Idempotency-Key", "The key was used for another request. Take a new key for a new request."
)
Accept = Callable[[Database, lifecycle.Request], Awaitable[Row[Any]]]
"""Stores what is new; raises IntegrityError for what came with the key of another."""
# Clients take every first answer but this for the last one.
_AS_ACCEPTED: dict[str, Any] = {
    "status": Status.STARTING,
    "output": None,
    "logs": "",
    "error": None,
    "metrics": {},
    "started_at": None,
    "completed_at": None,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """By what a create is known again. All are digests, and none is the same for two accounts."""

    create_key: str | None = None
    """There is one prediction of each."""
    fingerprint: str | None = None
    """Of the address and the body; none where the client has no way to say that it asks again."""
    is_retry: bool = False


def identify(account_id: str, key: str | None, retries: int, path: str, body: Mapping[str, Any]) -> Identity:
    """From the client's own key, if it has one, or from how often it says that it has tried before."""
    fingerprint = _digest(account_id, path, body)
    if key is not None:
        return Identity(_digest(account_id, "key", key), fingerprint)
    if not retries:
        return Identity(None, fingerprint)
    # Of retries that come at the same moment the key lets one pass. The first try has none: a client may well want
    # two predictions of the same input.
    return Identity(_digest(fingerprint, "retry", int(time() // RETRY_SECONDS)), fingerprint, is_retry=True)


async def store(database: Database, request: lifecycle.Request) -> Row[Any]:
    """In one statement."""
    async with database.single_statement() as transaction:
        return await lifecycle.create(transaction, request)


async def create(database: Database, request: lifecycle.Request, identity: Identity, accept: Accept = store) -> Any:
    """Store a prediction, or find what the same request made before: its row, as it was when it was accepted.

    A statement more for what comes again. InvalidRequest if the key was used for something else.
    """
    if earlier := await _tried_before(database, identity):
        return earlier
    try:
        return await accept(database, request)
    except IntegrityError:
        if earlier := await _made_with_key(database, identity):
            return earlier
        raise


async def find(database: Database, identity: Identity) -> Any:
    """What the same request made before, as it was when it was accepted; InvalidRequest as above."""
    return await _tried_before(database, identity) or await _made_with_key(database, identity)


async def _tried_before(database: Database, identity: Identity) -> Any:
    if not identity.is_retry:
        return None
    is_recent = Prediction.created_at > clock(-RETRY_SECONDS)
    return await _made_before(database, Prediction.fingerprint == identity.fingerprint, is_recent)


async def _made_with_key(database: Database, identity: Identity) -> Any:
    if identity.create_key is None:
        return None
    earlier = await _made_before(database, Prediction.create_key == identity.create_key)
    if earlier and earlier.fingerprint != identity.fingerprint:
        raise InvalidRequest([_REUSED])
    return earlier


async def _made_before(database: Database, *conditions: ColumnElement[bool]) -> Any:
    query = select(Prediction.__table__).where(*conditions).order_by(Prediction.created_at.desc()).limit(1)
    async with database.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    return SimpleNamespace(**{**row._mapping, **_AS_ACCEPTED}) if row else None


def _digest(*parts: Any) -> str:
    return sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
