"""That receivers hear how predictions ended: the message is owed, says what the row says, and does not lie about.

Whether it has arrived is known to the receiver alone.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import String, and_, cast, exists, select
from sqlalchemy.orm import aliased

from shared.contract import TERMINAL, Status, WebhookEvent
from shared.database import clock
from shared.invariants.look import IDS_MAX, Look
from shared.tables import Prediction, WebhookMessage

_MESSAGES_KEPT_SECONDS = 29 * 86_400.0
"""A day less than the sweep keeps them."""
_AT_ONCE = 500
_ABORTED = {Status.ABORTED: {Status.ABORTED, Status.CANCELED}}
"""Clients that do not know the word read the other one."""
_IS_END = and_(WebhookMessage.event == WebhookEvent.COMPLETED, WebhookMessage.prediction_id == Prediction.id)


async def ends_are_owed(look: Look) -> Sequence[str]:
    """Whoever asked to hear of the end of a prediction is owed a message of it."""
    wanted = cast(Prediction.webhook_events, String).like(f'%"{WebhookEvent.COMPLETED}"%')
    is_of_its_receiver = and_(_IS_END, WebhookMessage.endpoint_id.is_(None))
    is_kept = Prediction.completed_at > clock(-_MESSAGES_KEPT_SECONDS)
    asked = and_(Prediction.status.in_(TERMINAL), Prediction.webhook.is_not(None), wanted, is_kept, look.is_recent)
    return await look.ids(select(Prediction.id).where(asked, ~exists().where(is_of_its_receiver)))


async def messages_say_how_it_ended(look: Look) -> Sequence[str]:
    """A message of an end says how the prediction has ended."""
    query = select(WebhookMessage.id, WebhookMessage.body, Prediction.status).join(Prediction, _IS_END)
    query = query.where(look.is_recent, WebhookMessage.body != b"").order_by(WebhookMessage.id).limit(_AT_ONCE)
    wrong: list[str] = []
    last = ""
    while rows := await look.rows(query.where(WebhookMessage.id > last)):
        last = rows[-1].id
        wrong += [row.id for row in rows if _said(row.body) not in _ABORTED.get(row.status, {row.status})]
    return wrong[:IDS_MAX]


async def messages_are_not_overdue(look: Look) -> Sequence[str]:
    """Every message that is due is being sent, or others of its account are, which it has to wait for."""
    other = aliased(WebhookMessage)
    same_account = other.account_id == WebhookMessage.account_id
    is_busy = exists().where(same_account, other.state == "delivering", other.next_attempt_at > clock())
    is_open = WebhookMessage.state.in_(("pending", "delivering"))
    is_overdue = and_(is_open, WebhookMessage.next_attempt_at < look.repaired_until)
    return await look.ids(select(WebhookMessage.id).where(is_overdue, ~is_busy))


def _said(body: bytes) -> str:
    return str(msgspec.json.decode(body)["status"])
