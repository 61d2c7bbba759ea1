"""API tokens: what each may be used for, who has which, and how one is taken back.

Known by their hashes alone. A token that is taken back is deleted; whoever remembers tokens does so for seconds.
"""

import re
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update

from shared.contract import Scope
from shared.database import Database, clock
from shared.ids import new_token
from shared.tables import Account, Token

ORDINARY_SCOPES = tuple(scope for scope in Scope if scope != Scope.MODELS_WRITE)
"""Of a token for which nothing is said: to push is to run code on the server."""
_CALLER = (*Account.__table__.c, Token.scopes)
_LISTED = (*Token.__table__.c, Account.username)
_ID_LENGTH = 12
_ID = re.compile(rf"[0-9a-f]{{{_ID_LENGTH}}}")


def digest(token: str) -> str:
    """How a token is known to the database."""
    return sha256(token.encode()).hexdigest()


def short_id(row: Row[Any]) -> str:
    """How people name a token without holding it."""
    return str(row.digest[:_ID_LENGTH])


async def find_caller(database: Database, token_digest: str) -> Row[Any] | None:
    """The account that a valid token belongs to, and the token's `scopes`."""
    is_valid = or_(Token.expires_at.is_(None), Token.expires_at > clock())
    query = select(*_CALLER).join(Token, Token.account_id == Account.id)
    async with database.reading() as connection:
        return (await connection.execute(query.where(Token.digest == token_digest, is_valid))).one_or_none()


async def create(
    database: Database, account_id: str, name: str, scopes: Sequence[Scope], seconds: float | None = None
) -> str:
    """Make a token, which is known to nobody but the caller of this."""
    token = new_token()
    await store(database, token, account_id, name, list(scopes), seconds)
    return token


async def store(
    database: Database,
    token: str,
    account_id: str,
    name: str,
    scopes: list[Scope] | None = None,
    seconds: float | None = None,
) -> None:
    """Let a token speak for an account, for good or for so many seconds; without `scopes` for everything."""
    values = {
        "digest": digest(token),
        "account_id": account_id,
        "name": name,
        "ending": token[-4:],
        "scopes": scopes,
        "created_at": clock(),
        "expires_at": None if seconds is None else clock(seconds),
    }
    async with database.single_statement() as transaction:
        await transaction.execute(insert(Token).values(**values))


async def list_all(database: Database, username: str | None = None) -> Sequence[Row[Any]]:
    """Tokens with the `username` of their account, oldest first; of one account or of all."""
    query = select(*_LISTED).join(Account, Account.id == Token.account_id)
    if username is not None:
        query = query.where(Account.username == username)
    async with database.reading() as connection:
        return (await connection.execute(query.order_by(Account.username, Token.created_at))).all()


async def revoke(database: Database, named: str) -> Row[Any] | None:
    """Take back the token with a short id, or the token itself: one that was found where it should not be."""
    known = Token.digest.startswith(named) if _ID.fullmatch(named) else Token.digest == digest(named)
    async with database.single_statement() as transaction:
        return (await transaction.execute(delete(Token).where(known).returning(Token.__table__))).one_or_none()


async def note_uses(database: Database, digests: Collection[str]) -> None:
    """Remember that tokens were used just now."""
    async with database.single_statement() as transaction:
        await transaction.execute(update(Token).where(Token.digest.in_(digests)).values(last_used_at=clock()))
