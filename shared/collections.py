"""Collections: models that belong together, put so by the operator, on a page of their own.

Everybody with an account sees every collection, and in it the models that account may see.
"""

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update

from shared.catalog import is_named, is_visible
from shared.database import Database, Transaction, clock
from shared.errors import RequestError
from shared.ids import new_id
from shared.tables import CollectedModel, Collection, Model

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


async def put(database: Database, slug: str, words: dict[str, str | None], models: Sequence[str]) -> None:
    """Make a collection, or put it in the place of the one so called; `words` are its texts by column.

    `models` are `owner/name`, in order. Raises RequestError for a slug that is none and a model that is not there.
    """
    if not _SLUG.fullmatch(slug):
        raise RequestError("A slug has up to 63 lower-case letters, digits and dashes.")
    async with database.transaction() as transaction:
        collection_id = await _ensure(transaction, slug, words)
        await transaction.execute(delete(CollectedModel).where(CollectedModel.collection_id == collection_id))
        for place, name in enumerate(dict.fromkeys(models)):
            model_id = await _model_id(transaction, name)
            values = {"collection_id": collection_id, "model_id": model_id, "place": place}
            await transaction.execute(insert(CollectedModel).values(**values))


async def remove(database: Database, slug: str) -> bool:
    """Whether there was one; its models stay."""
    async with database.transaction() as transaction:
        collection_id = select(Collection.id).where(Collection.slug == slug).scalar_subquery()
        await transaction.execute(delete(CollectedModel).where(CollectedModel.collection_id == collection_id))
        return bool((await transaction.execute(delete(Collection).where(Collection.slug == slug))).rowcount)


async def list_all(database: Database) -> Sequence[Row[Any]]:
    """Newest first."""
    query = select(Collection.__table__).order_by(Collection.created_at.desc(), Collection.id.desc())
    async with database.reading() as connection:
        return (await connection.execute(query)).all()


async def find(database: Database, slug: str) -> Row[Any] | None:
    async with database.reading() as connection:
        query = select(Collection.__table__).where(Collection.slug == slug)
        return (await connection.execute(query)).one_or_none()


def models_in(collection_ids: Sequence[str], account_id: str) -> Select[Any]:
    """The models in some collections that an account may see, in order, each with `collection_id`."""
    query = select(*Model.__table__.c, CollectedModel.collection_id)
    query = query.join(CollectedModel, CollectedModel.model_id == Model.id)
    query = query.where(CollectedModel.collection_id.in_(collection_ids), is_visible(account_id))
    return query.order_by(CollectedModel.place)


async def _ensure(transaction: Transaction, slug: str, words: dict[str, str | None]) -> str:
    changed = update(Collection).where(Collection.slug == slug).values(**words).returning(Collection.id)
    if found := (await transaction.execute(changed)).scalar_one_or_none():
        return str(found)
    values = {"id": new_id(), "slug": slug, **words, "created_at": clock()}
    await transaction.execute(insert(Collection).values(**values))
    return str(values["id"])


async def _model_id(transaction: Transaction, reference: str) -> str:
    owner, _, name = reference.partition("/")
    found = (await transaction.execute(select(Model.id).where(is_named(owner, name)))).scalar_one_or_none()
    if found is None:
        raise RequestError(f"There is no model {reference}: make it, or push it, first.")
    return str(found)
