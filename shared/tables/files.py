"""Files that clients uploaded or models brought forth.

The bytes are not here.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Table
from shared.tables.predictions import Prediction


class File(Table):
    """What a client uploaded, or a model brought forth; the bytes lie in a folder, under the id."""

    __tablename__ = "files"
    __table_args__ = (
        Index(None, "account_id", "created_at", "id"),
        Index(None, "prediction_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    """Of an output it is the permission to read it, too."""
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    prediction_id: Mapped[str | None] = mapped_column(ForeignKey(Prediction.id))
    """Which prediction it is an output of; none for an upload."""
    name: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    md5: Mapped[str] = mapped_column(String(32))
    details: Mapped[dict[str, Any]]
    """What the API calls metadata, a name SQLAlchemy keeps for itself."""
    secret: Mapped[str] = mapped_column(String(128))
    """Signs its download links; encrypted."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
