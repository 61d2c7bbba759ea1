"""What receivers are owed.

When it is sent is decided by the sender.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Table, partial
from shared.tables.predictions import Prediction


class WebhookMessage(Table):
    """One message owed to a receiver, its body as it was when the event happened."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index(None, "prediction_id", "sequence"),
        partial("ix_webhook_messages_due", "next_attempt_at", where="state IN ('pending', 'delivering')"),
        partial("ix_webhook_messages_delivered", "created_at", where="state = 'delivered'"),
    )

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    prediction_id: Mapped[str] = mapped_column(ForeignKey(Prediction.id))
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    event: Mapped[str] = mapped_column(String(16))
    sequence: Mapped[int]
    """Order within the prediction; `completed` is last."""
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    """When it is due; while it is being delivered, when that claim lapses."""
    claimed_by: Mapped[str | None] = mapped_column(String(26))
    """The sender that delivers it, or did last."""
    last_answer: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
