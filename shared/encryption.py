"""Brings all secrets in the database under the newest key, after a change of keys or from before they were encrypted.

What is secret stands in `kept_secrets`.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, not_, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute

from shared.database import Database
from shared.kept_secrets import decrypted_input, encrypted_input, file_place, webhook_place
from shared.tables import Account, File, Prediction
from shared.vault import Vault

_BATCH = 500


async def check(database: Database) -> None:
    """Raises SecretUnreadable if the keys are not those of this database."""
    query = select(Account.id, Account.webhook_secret).order_by(Account.created_at).limit(1)
    async with database.reading() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row:
        database.vault.decrypt(row.webhook_secret, webhook_place(row.id))


async def renew(database: Database) -> int:
    """How many rows it was; raises SecretUnreadable."""
    await check(database)
    vault = database.vault
    is_former = and_(Account.former_webhook_secret.is_not(None), _is_old(vault, Account.former_webhook_secret))
    is_old_account = or_(_is_old(vault, Account.webhook_secret), is_former)
    is_secret = and_(Prediction.secret_inputs.is_not(None), Prediction.data_removed_at.is_(None))
    return sum(
        [
            await _renew(database, Account, is_old_account, _account),
            await _renew(database, File, _is_old(vault, File.secret), _file),
            await _renew(database, Prediction, is_secret, _prediction),
        ]
    )


def _is_old(vault: Vault, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return not_(column.startswith(vault.prefix, autoescape=True))


async def _renew(
    database: Database, table: Any, is_meant: ColumnElement[bool], renewed: Callable[[Vault, Row[Any]], dict[str, Any]]
) -> int:
    """A batch at a time, in the order of their ids."""
    last, count = "", 0
    while True:
        query = select(table.__table__).where(is_meant, table.id > last).order_by(table.id).limit(_BATCH)
        async with database.transaction() as transaction:
            rows = (await transaction.execute(query)).all()
            for row in rows:
                await _change(transaction, table, row, renewed(database.vault, row))
        count += len(rows)
        if len(rows) < _BATCH:
            return count
        last = rows[-1].id


async def _change(transaction: Any, table: Any, row: Row[Any], values: dict[str, Any]) -> None:
    # Only what is still as it was read: it may be rotated or removed at the same moment.
    same = [getattr(table, name) == getattr(row, name) for name in values if name != "input"]
    kept = [Prediction.data_removed_at.is_(None)] if table is Prediction else []
    if values:
        await transaction.execute(update(table).where(table.id == row.id, *same, *kept).values(values))


def _account(vault: Vault, row: Row[Any]) -> dict[str, Any]:
    place = webhook_place(row.id)
    names = [name for name in ("webhook_secret", "former_webhook_secret") if getattr(row, name)]
    return {name: vault.encrypt(vault.decrypt(getattr(row, name), place), place) for name in names}


def _file(vault: Vault, row: Row[Any]) -> dict[str, Any]:
    place = file_place(row.id)
    return {"secret": vault.encrypt(vault.decrypt(row.secret, place), place)}


def _prediction(vault: Vault, row: Row[Any]) -> dict[str, Any]:
    return {"input": encrypted_input(vault, row.id, decrypted_input(vault, row), row.secret_inputs)}
