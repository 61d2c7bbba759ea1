"""Who uses an installation, and with which tokens.

Nothing is stored by which a token or a person could be found out.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Json, Table


class Account(Table):
    """Who owns models, predictions and tokens."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    type: Mapped[str] = mapped_column(String(16))
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    webhook_secret: Mapped[str] = mapped_column(String(128))
    """Encrypted, as is the next."""
    former_webhook_secret: Mapped[str | None] = mapped_column(String(128))
    """Signs too until the next moment, so that receivers can change over."""
    former_secret_until: Mapped[datetime | None]
    shows_aborted: Mapped[bool] = mapped_column(server_default=false())
    """Whether its clients know the status `aborted`; to others it is `canceled`."""
    predictions_max: Mapped[int | None]
    """How many of its predictions may wait and run at once; 0: no limit, none: as the setting has it."""
    created_at: Mapped[datetime]


class Token(Table):
    """An API token, kept as its SHA-256: tokens are long and random, so a fast hash is enough."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    name: Mapped[str] = mapped_column(String(255))
    ending: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str] | None] = mapped_column(Json(none_as_null=True))
    """What it may be used for; none is everything, also what is added later."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
