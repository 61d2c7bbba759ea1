"""What a receiver is owed when something happens to a prediction: the message, written where the change is written.

Which change that is stands in `lifecycle`; sending it is the sender's business.
"""

from typing import Any

from sqlalchemy import CTE, ColumnElement, Exists, Insert, Row, and_, bindparam, delete, exists, insert, select

from shared import webhook_bodies
from shared.contract import WebhookEvent
from shared.database import Transaction, clock
from shared.queue import DeliverJob
from shared.tables import Table, WebhookEndpoint, WebhookMessage
from shared.webhooks import host_of, message_id

LAST = 2**31 - 1
"""Place of the `completed` message: behind everything else, and the same whichever attempt ends."""
_SNAPSHOTS = frozenset({WebhookEvent.OUTPUT, WebhookEvent.LOGS})
_MESSAGES = Table.metadata.tables[WebhookMessage.__tablename__]
_TELL = insert(_MESSAGES).values(next_attempt_at=clock(), created_at=clock())
_TOLD = (
    "id",
    "prediction_id",
    "account_id",
    "event",
    "lane",
    "sequence",
    "url",
    "host",
    "body",
    "state",
    "attempts",
)


def is_wanted(row: Row[Any], event: WebhookEvent) -> bool:
    """Whether a receiver asked for this event of the prediction."""
    return bool(row.webhook) and event in row.webhook_events


def wants_snapshots(row: Row[Any]) -> bool:
    """Whether it asked for what comes between start and end."""
    return bool(_SNAPSHOTS.intersection(row.webhook_events))


async def tell(transaction: Transaction, row: Row[Any], event: WebhookEvent, order: int) -> None:
    """Owe the message of an event to a receiver that asked for it; `order` is its place among the prediction's."""
    if told := message(row, event, order, transaction.address):
        await transaction.execute(_TELL, told)
        await hand_over(transaction, row, event, order)


async def tell_endpoints(transaction: Transaction, row: Row[Any]) -> None:
    """Owe the end of a prediction to all endpoints of its account, each in a lane of its own."""
    if not row.tells_endpoints:
        return
    query = select(WebhookEndpoint.id, WebhookEndpoint.url).where(_are_in_use(row.account_id))
    endpoints = (await transaction.execute(query)).all()
    if not endpoints:
        return
    body = webhook_bodies.body(row, transaction.address)
    for each in endpoints:
        lane = f"{row.id}-{each.id}"
        told = _message(row, lane, WebhookEvent.COMPLETED, LAST, each.url, body)
        await transaction.execute(_TELL, {**told, "endpoint_id": each.id})
        transaction.outbox.append(DeliverJob(lane, str(LAST)))


def has_endpoints(account_id: Any) -> Exists:
    """Whether an account has an endpoint in use, as part of a statement."""
    return exists().where(_are_in_use(account_id))


def _are_in_use(account_id: Any) -> ColumnElement[bool]:
    return and_(WebhookEndpoint.account_id == account_id, WebhookEndpoint.disabled_reason.is_(None))


def message(row: Row[Any], event: WebhookEvent, order: int, address: str) -> dict[str, Any] | None:
    """What a receiver is owed of this event, if it asked for it."""
    if not is_wanted(row, event):
        return None
    return _message(row, row.id, event, order, row.webhook, webhook_bodies.body(row, address))


def _message(row: Row[Any], lane: str, event: WebhookEvent, order: int, url: str, body: bytes) -> dict[str, Any]:
    return {
        "id": message_id(lane, event, order),
        "prediction_id": row.id,
        "account_id": row.account_id,
        "event": event,
        "lane": lane,
        "sequence": order,
        "url": url,
        "host": host_of(url),
        "body": body,
        "state": "pending",
        "attempts": 0,
    }


def insert_if(changed: CTE) -> Insert:
    """Writes the message given as `told_…` parameters for each row that a statement has changed."""
    # A parameter by the name of a column would become a change of the prediction.
    told = {name: bindparam(f"told_{name}", type_=_MESSAGES.c[name].type) for name in _TOLD}
    values: dict[str, Any] = {**told, "next_attempt_at": clock(), "created_at": clock()}
    return insert(_MESSAGES).from_select(list(values), select(*values.values()).select_from(changed))


async def hand_over(transaction: Transaction, row: Row[Any], event: WebhookEvent, order: int) -> None:
    """Snapshots nobody has sent yet give way to a newer message, so a slow receiver never works off a backlog."""
    if event is not WebhookEvent.START and wants_snapshots(row):
        older = and_(WebhookMessage.prediction_id == row.id, WebhookMessage.sequence < order)
        is_new = and_(WebhookMessage.state == "pending", WebhookMessage.attempts == 0)  # what is replayed is wanted
        is_unsent = and_(is_new, WebhookMessage.event.in_(_SNAPSHOTS))
        await transaction.execute(delete(WebhookMessage).where(older, is_unsent))
    transaction.outbox.append(DeliverJob(row.id, str(order)))
