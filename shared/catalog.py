"""Models and their versions: finding what a reference names, adding a pushed version, publishing its schema.

Files of a version live in `storage`; how it is run is the worker's business.
"""

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from shared.contract import VersionStatus, Visibility
from shared.database import Database, Transaction, clock
from shared.errors import InvalidRequest, InvalidVersion, Problem
from shared.ids import new_id
from shared.queue import BuildJob
from shared.tables import Model, Version

Found = TypeVar("Found")

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
"""What an owner and a model may be called."""
_NAME_RULE = "a model's name has up to 63 lower-case letters, digits, dots, dashes and underscores"
_VERSION_ID = re.compile(r"[0-9a-f]{64}")
_BUILT_AGAIN = (VersionStatus.FAILED, VersionStatus.REMOVED)
_OF_MODEL = (Model.owner, Model.name, Model.account_id)
_RUNNABLE = (*Version.__table__.c, *_OF_MODEL)


def check_name(name: str) -> None:
    """Raise InvalidRequest unless a model may be called so."""
    if not NAME.fullmatch(name):
        raise InvalidRequest([Problem("pattern", "name", _NAME_RULE)])


def is_visible(account_id: str) -> ColumnElement[bool]:
    """Of a model: an account may see and run public ones and its own, until they are removed."""
    return and_(Model.removed_at.is_(None), or_(Model.visibility == Visibility.PUBLIC, Model.account_id == account_id))


def is_named(owner: str, name: str) -> ColumnElement[bool]:
    """Of a model: the one that bears a name now."""
    return and_(Model.owner == owner, Model.name == name, Model.removed_at.is_(None))


async def runnable(database: Database, account_id: str, reference: str) -> Row[Any] | None:
    """The ready version that an account means by 64 hex digits, `owner/name` (its newest) or `owner/name:version`.

    The row holds the version's columns and the model's `owner`, `name` and `account_id`.
    """
    condition = _named(reference)
    if condition is None:
        return None
    query = select(*_RUNNABLE).join(Model, Model.id == Version.model_id)
    query = query.where(condition, is_visible(account_id), Version.status == VersionStatus.READY)
    async with database.reading() as connection:
        return (await connection.execute(query)).one_or_none()


def _named(reference: str) -> ColumnElement[bool] | None:
    path, separator, version_id = reference.rpartition(":") if ":" in reference else (reference, "", "")
    if not separator and _VERSION_ID.fullmatch(path):
        return Version.id == path
    owner, slash, name = path.partition("/")
    if not (slash and NAME.fullmatch(owner) and NAME.fullmatch(name)):
        return None
    return and_(is_named(owner, name), Version.id == (version_id if separator else Model.latest_version_id))


async def find_model(database: Database, account_id: str, owner: str, name: str) -> Row[Any] | None:
    """A model by its name, if an account may see it."""
    query = select(Model.__table__).where(is_named(owner, name), is_visible(account_id))
    async with database.reading() as connection:
        return (await connection.execute(query)).one_or_none()


async def find_versions(database: Database, ids: Sequence[str]) -> dict[str, Row[Any]]:
    """Versions by id, also those that cannot be run, unless they were removed."""
    query = select(Version.__table__).where(Version.id.in_(ids), Version.status != VersionStatus.REMOVED)
    async with database.reading() as connection:
        return {row.id: row for row in (await connection.execute(query)).all()}


async def models_of(
    database: Database, version_ids: Collection[str], *conditions: ColumnElement[bool]
) -> dict[str, Row[Any]]:
    """`owner`, `name` and `account_id` of the models that versions belong to, by the versions' ids."""
    if not version_ids:
        return {}
    query = select(Version.__table__.c.id, *_OF_MODEL).join(Model, Model.id == Version.model_id)
    async with database.reading() as connection:
        rows = (await connection.execute(query.where(Version.id.in_(version_ids), *conditions))).all()
    return {row.id: row for row in rows}


async def given_weights(database: Database, version_id: str) -> Row[Any]:
    """The weights of a version, and the account its model belongs to."""
    query = select(Version.weights, Model.account_id).join(Model, Model.id == Version.model_id)
    async with database.reading() as connection:
        return (await connection.execute(query.where(Version.id == version_id))).one()


async def add_version(
    database: Database,
    account_id: str,
    owner: str,
    name: str,
    version_id: str,
    visibility: Visibility | None = None,
) -> Row[Any]:
    """Register files just stored and have a worker look at them; makes the model if there was none.

    Without `visibility` a model stays as it is, and a new one is private. A version that failed before, or was removed,
    is built again; any other that is known already is returned as it is.
    """

    async def write(transaction: Transaction) -> Row[Any]:
        model_id = await _ensure_model(transaction, account_id, owner, name, visibility)
        return await ensure_version(transaction, model_id, version_id)

    return await ensure(database, write)


async def ensure(database: Database, write: Callable[[Transaction], Awaitable[Found]]) -> Found:
    """A transaction that makes what is not there yet."""
    try:
        async with database.transaction() as transaction:
            return await write(transaction)
    except IntegrityError:  # another push of the same was quicker, and this one finds what it made
        async with database.transaction() as transaction:
            return await write(transaction)


async def _ensure_model(
    transaction: Transaction, account_id: str, owner: str, name: str, visibility: Visibility | None
) -> str:
    # Locked, so that it is not removed before its version is there.
    query = select(Model.id).where(is_named(owner, name)).with_for_update()
    found: str | None = (await transaction.execute(query)).scalar_one_or_none()
    if found:
        if visibility:
            await transaction.execute(update(Model).where(Model.id == found).values(visibility=visibility))
        return found
    values = {"id": new_id(), "account_id": account_id, "owner": owner, "name": name}
    seen_by = visibility or Visibility.PRIVATE
    await transaction.execute(insert(Model).values(**values, visibility=seen_by, created_at=clock()))
    return values["id"]


async def ensure_version(transaction: Transaction, model_id: str, version_id: str, weights: Any = None) -> Row[Any]:
    """Register a version of a model; its `weights` are part of what its id is the hash of."""
    query = select(Version.__table__).where(Version.id == version_id)
    known = (await transaction.execute(query)).one_or_none()
    if known and known.status == VersionStatus.READY:
        await _make_newest(transaction, known)
    if known and known.status not in _BUILT_AGAIN:
        return known
    fresh = {"status": VersionStatus.BUILDING, "logs": "", "error": None, "queued_at": clock()}
    if known:
        fresh |= {"model_id": model_id, "removed_at": None}
        again = update(Version).where(Version.id == version_id).values(**fresh, delivery=Version.delivery + 1)
        row = (await transaction.execute(again.returning(Version.__table__))).one()
    else:
        new = {"id": version_id, "model_id": model_id, "weights": weights, "is_iterator": False}
        first = {**new, **fresh, "delivery": 1, "created_at": clock()}
        row = (await transaction.execute(insert(Version).values(**first).returning(Version.__table__))).one()
    transaction.outbox.append(BuildJob(row.id, row.delivery))
    return row


async def publish(
    transaction: Transaction, version_id: str, openapi_schema: dict[str, Any], is_iterator: bool, logs: str
) -> None:
    """`building → ready`: from now on the version can be run, and is its model's newest unless a later push is."""
    await lock_model_of(transaction, version_id)
    ready = {"status": VersionStatus.READY, "openapi_schema": openapi_schema, "is_iterator": is_iterator, "logs": logs}
    building = and_(Version.id == version_id, Version.status == VersionStatus.BUILDING)
    changed = await transaction.execute(update(Version).where(building).values(**ready).returning(Version.__table__))
    if row := changed.one_or_none():
        of_model = and_(Version.model_id == row.model_id, Version.status == VersionStatus.READY)
        later = select(Version.id).where(of_model, Version.queued_at > row.queued_at).limit(1)
        if (await transaction.execute(later)).one_or_none() is None:
            await _make_newest(transaction, row)


async def lock_model(transaction: Transaction, model_id: str) -> bool:
    """Keep a model from being removed until the transaction is over; whether it is still there."""
    query = select(Model.id).where(Model.id == model_id, Model.removed_at.is_(None)).with_for_update()
    return (await transaction.execute(query)).one_or_none() is not None


async def lock_model_of(transaction: Transaction, version_id: str) -> None:
    """Whoever changes a model and a version of it begins with the model, so that no two wait for each other."""
    of_version = select(Version.model_id).where(Version.id == version_id).scalar_subquery()
    await transaction.execute(select(Model.id).where(Model.id == of_version).with_for_update())


async def hold(transaction: Transaction, version_id: str) -> None:
    """Keep a version from being deleted until the transaction is over; raises InvalidVersion if it just was."""
    await lock_model_of(transaction, version_id)
    is_ready = (Version.id == version_id, Version.status == VersionStatus.READY)
    if (await transaction.execute(select(Version.id).where(*is_ready))).one_or_none() is None:
        raise InvalidVersion


async def _make_newest(transaction: Transaction, row: Row[Any]) -> None:
    """The version that was pushed last is the one its model's name stands for, also if it was pushed before."""
    await transaction.execute(update(Version).where(Version.id == row.id).values(queued_at=clock()))
    await transaction.execute(update(Model).where(Model.id == row.model_id).values(latest_version_id=row.id))


async def record_logs(transaction: Transaction, version_id: str, logs: str) -> None:
    """What a build that goes on has said so far."""
    building = and_(Version.id == version_id, Version.status == VersionStatus.BUILDING)
    await transaction.execute(update(Version).where(building).values(logs=logs))


async def reject(transaction: Transaction, version_id: str, error: str, logs: str) -> None:
    """`building → failed`: an older version goes on serving."""
    building = and_(Version.id == version_id, Version.status == VersionStatus.BUILDING)
    failed = {"status": VersionStatus.FAILED, "error": error, "logs": logs}
    await transaction.execute(update(Version).where(building).values(**failed))


async def withdraw(transaction: Transaction, version_id: str, error: str) -> None:
    """`building → failed` by whoever wanted it; what the build says from now on is dropped."""
    building = and_(Version.id == version_id, Version.status == VersionStatus.BUILDING)
    await transaction.execute(update(Version).where(building).values(status=VersionStatus.FAILED, error=error))
