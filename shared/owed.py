"""What a receiver is owed when something happens to a prediction: the message, written where the change is written.

Which change that is stands in `lifecycle`; sending it is the sender's business.
"""

from typing import Any

import msgspec
from sqlalchemy import CTE, Insert, Row, and_, bindparam, delete, insert, select

from shared import rendering
from shared.contract import WebhookEvent
from shared.database import Transaction, clock
from shared.queue import DeliverJob
from shared.tables import Table, WebhookMessage
from shared.webhooks import message_id

LAST = 2**31 - 1
"""Place of the `completed` message: behind everything else, and the same whichever attempt ends."""
_SNAPSHOTS = frozenset({WebhookEvent.OUTPUT, WebhookEvent.LOGS})
_MESSAGES = Table.metadata.tables[WebhookMessage.__tablename__]
_TELL = insert(_MESSAGES).values(next_attempt_at=clock(), created_at=clock())
_TOLD = ("id", "prediction_id", "account_id", "event", "sequence", "url", "body", "state", "attempts")


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


def message(row: Row[Any], event: WebhookEvent, order: int, address: str) -> dict[str, Any] | None:
    """What a receiver is owed of this event, if it asked for it."""
    if not is_wanted(row, event):
        return None
    return {
        "id": message_id(row.id, event, order),
        "prediction_id": row.id,
        "account_id": row.account_id,
        "event": event,
        "sequence": order,
        "url": row.webhook,
        "body": msgspec.json.encode(rendering.prediction(row, address)),
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
        is_unsent = and_(WebhookMessage.state == "pending", WebhookMessage.event.in_(_SNAPSHOTS))
        await transaction.execute(delete(WebhookMessage).where(older, is_unsent))
    transaction.outbox.append(DeliverJob(row.id, str(order)))
