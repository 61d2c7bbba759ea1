"""The messages an account's receivers are owed or were given: found, with what came of them, sent again, deleted.

Nothing is sent here: a replayed message is due again, and the sender does the rest.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, delete, exists, or_, select, update

from shared.contract import WebhookEvent
from shared.database import Database, clock
from shared.errors import Conflict
from shared.queue import DeliverJob
from shared.rendering import moment
from shared.tables import WebhookAttempt, WebhookEndpoint, WebhookMessage
from shared.webhooks import redacted

_OPEN = ("pending", "delivering")
_COLUMNS = [column for column in WebhookMessage.__table__.c if column.name != "body"]
_IS_USED = and_(WebhookEndpoint.id == WebhookMessage.endpoint_id, WebhookEndpoint.disabled_reason.is_(None))
_HAS_RECEIVER = or_(WebhookMessage.endpoint_id.is_(None), exists().where(_IS_USED))
_AGAIN: dict[str, Any] = {
    "state": "pending",
    "reason": None,
    "replayed_after": WebhookMessage.attempts,
    "next_attempt_at": clock(),
}


def shown(row: Row[Any]) -> dict[str, Any]:
    """A message as its account sees it."""
    return {
        "id": row.id,
        "event": row.event,
        "state": row.state,
        "prediction": row.prediction_id,
        "endpoint": row.endpoint_id,
        "url": redacted(row.url),
        "attempts": row.attempts,
        "next_attempt_at": moment(row.next_attempt_at) if row.state == "pending" else None,
        "answer": row.last_answer,
        "reason": row.reason,
        "created_at": moment(row.created_at),
    }


def shown_attempt(row: Row[Any]) -> dict[str, Any]:
    """One attempt of its log."""
    names = ("number", "trigger", "answer", "status", "response", "milliseconds", "address", "signed_by")
    location = redacted(row.location) if row.location else None
    told = {name: getattr(row, name) for name in names}
    return {**told, "location": location, "created_at": moment(row.created_at)}


def owned(account_id: str) -> Select[Any]:
    """Those of an account, without their bodies."""
    return select(*_COLUMNS).where(WebhookMessage.account_id == account_id)


async def find(database: Database, account_id: str, message_id: str) -> Row[Any] | None:
    """One message of an account."""
    async with database.reading() as connection:
        query = owned(account_id).where(WebhookMessage.id == message_id)
        found: Row[Any] | None = (await connection.execute(query)).one_or_none()
    return found


async def attempts(database: Database, message_id: str) -> list[Row[Any]]:
    """What came of each attempt, the first one first."""
    query = select(WebhookAttempt.__table__).where(WebhookAttempt.message_id == message_id)
    async with database.reading() as connection:
        return list((await connection.execute(query.order_by(WebhookAttempt.number))).all())


async def replay(database: Database, message: Row[Any]) -> Row[Any]:
    """Make it due again, under its id and with a whole schedule before it; raises Conflict if that cannot be."""
    async with database.single_statement() as transaction:
        is_meant = and_(WebhookMessage.id == message.id, _can_be_replayed())
        again = await transaction.execute(update(WebhookMessage).where(is_meant).values(_AGAIN).returning(*_COLUMNS))
        if row := again.one_or_none():
            transaction.outbox.append(DeliverJob(row.lane, "replay"))
            return row
    if message.state in _OPEN:
        raise Conflict("The message is still being delivered.")
    raise Conflict("The data of its prediction has been removed, or its endpoint is deleted or disabled.")


async def replay_since(database: Database, account_id: str, since: datetime, state: str) -> int:
    """Make all `completed` messages due again that were created since then and are in that state; how many it were."""
    is_one = and_(WebhookMessage.state == state, WebhookMessage.event == WebhookEvent.COMPLETED)
    is_meant = and_(WebhookMessage.account_id == account_id, WebhookMessage.created_at >= since, is_one)
    async with database.single_statement() as transaction:  # the sweep rings for them, by turns with all others
        again = update(WebhookMessage).where(is_meant, _can_be_replayed()).values(_AGAIN)
        return int((await transaction.execute(again)).rowcount)


async def discard(database: Database, message: Row[Any]) -> None:
    """Delete it with its log; raises Conflict while it is being delivered."""
    is_meant = and_(WebhookMessage.id == message.id, WebhookMessage.state.not_in(_OPEN))
    async with database.single_statement() as transaction:
        if not (await transaction.execute(delete(WebhookMessage).where(is_meant))).rowcount:
            raise Conflict("The message is still being delivered.")


async def discard_before(database: Database, account_id: str, before: datetime) -> int:
    """Delete all that were given up and created before then; how many it were."""
    is_meant = and_(WebhookMessage.account_id == account_id, WebhookMessage.created_at < before)
    async with database.single_statement() as transaction:
        gone = delete(WebhookMessage).where(is_meant, WebhookMessage.state == "dead")
        return int((await transaction.execute(gone)).rowcount)


def _can_be_replayed() -> ColumnElement[bool]:
    return and_(WebhookMessage.state.not_in(_OPEN), WebhookMessage.body != b"", _HAS_RECEIVER)
