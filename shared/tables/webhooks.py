"""What receivers are owed, what came of each attempt, and who hears of everything an account runs.

When a message is sent is decided by the sender.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Json, Table, partial
from shared.tables.predictions import Prediction

OPEN = "state IN ('pending', 'delivering')"
"""Messages that will be sent, or sent again. In these words: with parameters in their place SQLite would not find the
index over them."""
GIVEN_UP = "state = 'dead' AND event = 'completed'"
"""Ends that never arrived, and may be replayed."""
DONE_WITH = "state = 'delivered' OR (state = 'dead' AND event != 'completed')"
"""Messages that nobody will send again."""


class WebhookEndpoint(Table):
    """A receiver that hears of the end of whatever its account runs."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index(None, "account_id", "created_at", "id"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    url: Mapped[str] = mapped_column(Text)
    disabled_reason: Mapped[str | None] = mapped_column(Text)
    """Why nothing more is owed to it; none while it is in use."""
    created_at: Mapped[datetime]


class PausedAddress(Table):
    """Where an account's messages went until the answer was that no more are wanted."""

    __tablename__ = "paused_addresses"
    __table_args__ = (Index(None, "account_id", "until"),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    url: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime]


class WebhookMessage(Table):
    """One message owed to a receiver, its body as it was when the event happened."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index(None, "prediction_id", "sequence"),
        Index(None, "lane", "sequence"),
        Index(None, "account_id", "created_at", "id"),
        partial("ix_webhook_messages_due", "next_attempt_at", where=OPEN),
        partial("ix_webhook_messages_done", "created_at", where=DONE_WITH),
        partial("ix_webhook_messages_dead", "account_id", "created_at", where=GIVEN_UP),
    )

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    prediction_id: Mapped[str | None] = mapped_column(ForeignKey(Prediction.id))
    """None for a test."""
    endpoint_id: Mapped[str | None] = mapped_column(String(26))
    """For which endpoint of the account it is, which may be gone; none for the prediction's own receiver."""
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    event: Mapped[str] = mapped_column(String(16))
    lane: Mapped[str] = mapped_column(String(64), server_default="")
    """Of messages in the same lane one is under way at a time: what one prediction owes one receiver."""
    sequence: Mapped[int]
    """Order within the lane; `completed` is last."""
    url: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(255), server_default="")
    """Of the url. What an account sends to a host has few places and one breaker."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Empty once the data of its prediction has been removed."""
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    replayed_after: Mapped[int] = mapped_column(server_default="0")
    """How many of these there were when it was last replayed: the schedule counts from there."""
    next_attempt_at: Mapped[datetime]
    """When it is due; while it is being delivered, when that claim lapses."""
    claimed_by: Mapped[str | None] = mapped_column(String(26))
    """The sender that delivers it, or did last."""
    last_answer: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    """Why it was given up."""
    created_at: Mapped[datetime]


class WebhookAttempt(Table):
    """What came of one attempt at a message."""

    __tablename__ = "webhook_attempts"

    message_id: Mapped[str] = mapped_column(ForeignKey(WebhookMessage.id, ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    trigger: Mapped[str] = mapped_column(String(16), server_default="scheduled")
    """What began the round it belongs to: the event, a test or a replay."""
    answer: Mapped[str] = mapped_column(Text)
    """In words: a status, or what kept it from one."""
    status: Mapped[int | None]
    response: Mapped[str | None] = mapped_column(Text)
    """The beginning of the answer's body."""
    location: Mapped[str | None] = mapped_column(Text)
    """Where a redirect would have led, which is not followed."""
    milliseconds: Mapped[int]
    address: Mapped[str | None] = mapped_column(String(45))
    """Where it was sent, or what could not be connected to; none if nothing was tried."""
    signed_by: Mapped[list[str] | None] = mapped_column(Json(none_as_null=True))
    """Ids of the secrets that signed it, the newest first; none if an older release wrote this."""
    created_at: Mapped[datetime]
