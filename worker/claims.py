"""Webhook messages that senders have claimed, once those senders are gone.

How a message is claimed stands in `deliver`.
"""

from collections.abc import Sequence

from sqlalchemy import Update, update

from shared.database import clock
from shared.tables import WebhookMessage


def released(senders: Sequence[str]) -> Update:
    """Makes due what they will not finish."""
    claimed = (WebhookMessage.state == "delivering", WebhookMessage.claimed_by.in_(senders))
    return update(WebhookMessage).where(*claimed).values(next_attempt_at=clock())
