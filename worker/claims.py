"""Webhook messages that senders have claimed, and that nobody will finish.

How a message is claimed stands in `deliver`.
"""

from collections.abc import Sequence

from sqlalchemy import Update, and_, text, update

from shared.database import clock
from shared.tables import OPEN, WebhookMessage


def released(senders: Sequence[str]) -> Update:
    """Makes due what they will not finish."""
    claimed = (text(OPEN), WebhookMessage.state == "delivering", WebhookMessage.claimed_by.in_(senders))
    return update(WebhookMessage).where(*claimed).values(next_attempt_at=clock())


def forgotten(sender: str, lanes: Sequence[str], lapses_within: float) -> Update:
    """Makes due what a living sender holds by a claim that lapses within so many seconds, but in these lanes."""
    is_old = and_(WebhookMessage.next_attempt_at > clock(), WebhookMessage.next_attempt_at < clock(lapses_within))
    return released([sender]).where(is_old, WebhookMessage.lane.not_in(lanes))
