"""Accounts: who owns models and predictions, and the first account of an installation.

Who speaks for an account is the business of `tokens`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from shared import tokens
from shared.catalog import NAME
from shared.contract import AccountType
from shared.database import Database, clock, open_database
from shared.errors import Conflict, RequestError
from shared.ids import new_id
from shared.kept_secrets import webhook_place
from shared.settings import Settings
from shared.tables import Account
from shared.webhooks import new_secret

DEFAULT_USERNAME = "pinion"


async def find(database: Database, account_id: str) -> Row[Any]:
    """The account of an id taken from a row of ours."""
    async with database.reading() as connection:
        return (await connection.execute(select(Account.__table__).where(Account.id == account_id))).one()


async def find_by_username(database: Database, username: str) -> Row[Any] | None:
    async with database.reading() as connection:
        query = select(Account.__table__).where(Account.username == username)
        return (await connection.execute(query)).one_or_none()


async def list_all(database: Database) -> Sequence[Row[Any]]:
    """Oldest first."""
    async with database.reading() as connection:
        return (await connection.execute(select(Account.__table__).order_by(Account.created_at))).all()


async def count(database: Database) -> int:
    """How many there are."""
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(Account))).scalar_one())


async def create(database: Database, username: str, kind: AccountType, name: str) -> str:
    """Make an account; its id. Raises Conflict where there is one of that name."""
    if not NAME.fullmatch(username):
        raise RequestError("An account's name has up to 63 lower-case letters, digits, dots, dashes and underscores.")
    account_id = new_id()
    secret = database.vault.encrypt(new_secret(), webhook_place(account_id))
    values = {"id": account_id, "type": kind, "username": username, "name": name, "webhook_secret": secret}
    try:
        async with database.single_statement() as transaction:
            await transaction.execute(insert(Account).values(**values, created_at=clock()))
    except IntegrityError as error:
        raise Conflict(f"There is an account {username} already.") from error
    return account_id


async def show_aborted(database: Database, username: str, *, is_shown: bool) -> None:
    """Whether predictions it makes from now on may be shown as `aborted`. RequestError if there is no such account."""
    await _change(database, username, shows_aborted=is_shown)


async def limit(database: Database, username: str, predictions_max: int | None) -> None:
    """How many of its predictions may wait and run at once: 0 is no limit, None what the setting says. RequestError."""
    await _change(database, username, predictions_max=predictions_max)


async def _change(database: Database, username: str, **values: Any) -> None:
    change = update(Account).where(Account.username == username).values(**values)
    async with database.single_statement() as transaction:
        if not (await transaction.execute(change)).rowcount:
            raise RequestError(f"There is no account {username}: make it with `pinion account create {username}`.")


async def ensure_default(settings: Settings) -> None:
    """Make the first account, and let the token of the settings speak for it, or for whom it speaks already."""
    async with open_database(settings) as database:
        account_id = await _default_account(database)
        if settings.api_token:
            await _ensure_token(database, account_id, settings.api_token.get_secret_value())


async def _default_account(database: Database) -> str:
    if found := await find_by_username(database, DEFAULT_USERNAME):
        return str(found.id)
    try:
        return await create(database, DEFAULT_USERNAME, AccountType.USER, "Pinion")
    except Conflict:  # another host of the same installation was quicker
        return await _default_account(database)


async def _ensure_token(database: Database, account_id: str, token: str) -> None:
    if await tokens.find_caller(database, tokens.digest(token)):
        return
    try:
        await tokens.store(database, token, account_id, "default")
    except IntegrityError:  # another host was quicker, or it has expired
        return
