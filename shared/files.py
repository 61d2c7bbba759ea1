"""Files: the rows about what clients upload and models bring forth, and the signatures of download links.

The bytes are written and read in `file_store`; what a link looks like stands in `rendering`.
"""

import asyncio
import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select, update

from shared.database import Database, Transaction, clock
from shared.file_store import Incoming, content_path, remove_content
from shared.ids import new_id
from shared.kept_secrets import file_place
from shared.tables import File
from shared.vault import Vault

_OUR_PATH = re.compile(r"(?:/v1){0,2}/(?:files|outputs)/([a-z2-7]{26})(?:/[^/]*)?/?")
_BATCH = 500
_URL_LENGTH_MAX = 2048
IS_ALIVE = or_(File.expires_at.is_(None), File.expires_at > clock())
"""It has not expired, or never will."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is said about a file by whoever brings it; without `prediction_id` it is an upload."""

    account_id: str
    name: str
    content_type: str
    kept_seconds: float
    """0 is for ever."""
    prediction_id: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


async def register(database: Database, incoming: Incoming, description: Description) -> Row[Any]:
    """Make the row of a complete file, to be published under its id next.

    In this order, because a row without bytes is found missing, while bytes without a row would lie there for ever.
    """
    kept, file_id = description.kept_seconds, new_id()
    values = {
        "id": file_id,
        "account_id": description.account_id,
        "prediction_id": description.prediction_id,
        "name": description.name,
        "content_type": description.content_type,
        "size": incoming.size,
        "sha256": incoming.sha256,
        "md5": incoming.md5,
        "details": description.details,
        "secret": database.vault.encrypt(new_id(), file_place(file_id)),
        "created_at": clock(),
        "expires_at": clock(kept) if kept else None,
    }
    async with database.single_statement() as transaction:
        return (await transaction.execute(insert(File).values(**values).returning(File.__table__))).one()


async def find(database: Database, file_id: str) -> Row[Any] | None:
    """A file that has not expired, whoever owns it; the caller checks."""
    async with database.reading() as connection:
        return (await connection.execute(select(File.__table__).where(File.id == file_id, IS_ALIVE))).one_or_none()


async def remove(database: Database, home: Path, file_id: str) -> None:
    """Forget a file, its bytes first: what is interrupted in between can be repeated."""
    await _remove(database, home, File.id == file_id)


async def remove_outputs(database: Database, home: Path, prediction_ids: Sequence[str]) -> None:
    """Forget what some predictions brought forth."""
    while await _remove(database, home, File.prediction_id.in_(prediction_ids)) == _BATCH:
        pass


async def remove_expired(database: Database, home: Path) -> None:
    """Forget what has expired."""
    while await _remove(database, home, and_(File.expires_at.is_not(None), File.expires_at < clock())) == _BATCH:
        pass


async def _remove(database: Database, home: Path, condition: ColumnElement[bool]) -> int:
    async with database.reading() as connection:
        ids = (await connection.execute(select(File.id).where(condition).limit(_BATCH))).scalars().all()
    await asyncio.to_thread(remove_content, home, ids)
    async with database.single_statement() as transaction:
        await transaction.execute(delete(File).where(File.id.in_(ids)))
    return len(ids)


async def prolong(database: Database, account_id: str, file_ids: Sequence[str], seconds: float) -> None:
    """Keep uploads at least this much longer: a prediction that may have to wait refers to them."""
    until = clock(seconds)
    is_meant = and_(File.id.in_(file_ids), File.account_id == account_id, File.expires_at.between(clock(), until))
    async with database.single_statement() as transaction:
        await transaction.execute(update(File).where(is_meant).values(expires_at=until))


async def keep(transaction: Transaction, file_id: str) -> None:
    """For good: a file that a version needs does not expire."""
    await transaction.execute(update(File).where(File.id == file_id).values(expires_at=None))


def ids_in(value: Any) -> list[str]:
    """Of the files of ours whose addresses stand in an input; some may be none of ours."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [file_id for each in inner for file_id in ids_in(each)]
    is_address = isinstance(value, str) and len(value) < _URL_LENGTH_MAX and value[:4].lower() == "http"
    file_id = id_in_url(value) if is_address else None
    return [file_id] if file_id else []


def content_of(home: Path, row: Row[Any]) -> Path | None:
    """Where a file's bytes lie, unless they are gone."""
    path = content_path(home, row.id)
    return path if path.is_file() else None


def id_in_url(url: str) -> str | None:
    """The id of a file of ours, if an address looks like one; its host may have any name, so only a look-up tells."""
    try:
        found = _OUR_PATH.fullmatch(urlsplit(url).path)
    except ValueError:
        return None
    return found[1] if found else None


def signature(vault: Vault, row: Row[Any], owner: str, expiry: int) -> str:
    """Of a link under which anybody may download the file until `expiry`, in seconds since 1970."""
    secret = vault.decrypt(row.secret, file_place(row.id))
    digest = hmac.digest(secret.encode(), f"{owner} {row.id} {expiry}".encode(), "sha256")
    return base64.b64encode(digest).decode()
