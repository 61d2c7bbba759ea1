"""Accounts and their tokens: who is calling, and the first account of an installation.

Tokens are looked up by their hash and never stored; what an account may do is decided elsewhere.
"""

from hashlib import sha256
from typing import Any

from sqlalchemy import Row, insert, select
from sqlalchemy.exc import IntegrityError

from shared.database import Database, clock
from shared.ids import new_id
from shared.queue import open_redis
from shared.settings import Settings
from shared.tables import Account, Token
from shared.webhooks import new_secret

DEFAULT_USERNAME = "pinion"


def digest(token: str) -> str:
    """How a token is known to the database."""
    return sha256(token.encode()).hexdigest()


async def find_by_token(database: Database, token: str) -> Row[Any] | None:
    """The account a token belongs to."""
    query = select(Account.__table__).join(Token, Token.account_id == Account.id).where(Token.digest == digest(token))
    async with database.reading() as connection:
        return (await connection.execute(query)).one_or_none()


async def find(database: Database, account_id: str) -> Row[Any]:
    """The account of an id taken from a row of ours."""
    async with database.reading() as connection:
        return (await connection.execute(select(Account.__table__).where(Account.id == account_id))).one()


async def ensure_default(settings: Settings) -> None:
    """Make the first account, and let the token of the settings speak for it."""
    database = Database(settings, open_redis(settings.redis_url))
    try:
        account_id = await _default_account(database)
        if settings.api_token:
            await _ensure_token(database, account_id, settings.api_token.get_secret_value())
    finally:
        await database.redis.aclose()
        await database.close()


async def _default_account(database: Database) -> str:
    query = select(Account.id).where(Account.username == DEFAULT_USERNAME)
    async with database.reading() as connection:
        found: str | None = await connection.scalar(query)
    if found:
        return found
    account_id = new_id()
    row = {"id": account_id, "type": "user", "username": DEFAULT_USERNAME, "name": "Pinion"}
    statement = insert(Account).values(**row, webhook_secret=new_secret(), created_at=clock())
    try:
        async with database.transaction() as transaction:
            await transaction.execute(statement)
    except IntegrityError:  # another host of the same installation was quicker
        return await _default_account(database)
    return account_id


async def _ensure_token(database: Database, account_id: str, token: str) -> None:
    if await find_by_token(database, token):
        return
    row = {"digest": digest(token), "account_id": account_id, "name": "default", "ending": token[-4:]}
    try:
        async with database.transaction() as transaction:
            await transaction.execute(insert(Token).values(**row, created_at=clock()))
    except IntegrityError:  # the same token was stored by another host meanwhile
        return
