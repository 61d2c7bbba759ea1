"""Addresses that want nothing more, and are left alone for a while by every sender.

They stand in rows, and each claim of a message tells whether its address is one. What is sent there all the same is
decided in `deliver`.
"""

from typing import Any

from sqlalchemy import ColumnElement, Exists, Row, and_, delete, exists, insert, literal_column, or_, select

from shared.database import Transaction, clock
from shared.ids import new_id
from shared.tables import PausedAddress, WebhookMessage

_PAUSE_SECONDS = 3600.0
_PAUSED_MAX = 100
"""Of an account: each claim looks through them."""


def is_paused() -> Exists:
    """Whether the address of a message is, as what a statement that changes messages returns."""
    # Written out: SQLAlchemy leaves out the names of tables there for SQLite, and the inner table has such columns too.
    account_id: ColumnElement[str] = literal_column(f"{WebhookMessage.__tablename__}.account_id")
    url: ColumnElement[str] = literal_column(f"{WebhookMessage.__tablename__}.url")
    is_its = and_(PausedAddress.account_id == account_id, PausedAddress.url == url)
    return exists().where(is_its, PausedAddress.until > clock())


async def pause(transaction: Transaction, message: Row[Any]) -> None:
    """The address of the message wants no more; what was paused longest ago gives way."""
    is_its = PausedAddress.account_id == message.account_id
    kept = select(PausedAddress.id).where(is_its).order_by(PausedAddress.until.desc()).limit(_PAUSED_MAX - 1)
    gives_way = or_(PausedAddress.url == message.url, PausedAddress.id.not_in(kept))
    await transaction.execute(delete(PausedAddress).where(is_its, gives_way))
    paused = {"id": new_id(), "account_id": message.account_id, "url": message.url}
    await transaction.execute(insert(PausedAddress).values(**paused, until=clock(_PAUSE_SECONDS)))


async def resume(transaction: Transaction, message: Row[Any]) -> None:
    """The address of the message takes messages again."""
    is_its = (PausedAddress.account_id == message.account_id, PausedAddress.url == message.url)
    await transaction.execute(delete(PausedAddress).where(*is_its))
