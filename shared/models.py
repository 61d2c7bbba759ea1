"""Models as their owners describe them: made without a version, and described anew.

A push makes a model, too; that stands in `catalog`. How one ends is `removal`'s business.
"""

from typing import Any

from sqlalchemy import Row, insert, update
from sqlalchemy.exc import IntegrityError

from shared.contract import ModelCreate
from shared.database import Database, clock
from shared.errors import InvalidRequest, Problem
from shared.ids import new_id
from shared.tables import Model


async def create(database: Database, account_id: str, wanted: ModelCreate) -> Row[Any]:
    """A model without a version; raises InvalidRequest where the owner has one of that name."""
    values = {"id": new_id(), "account_id": account_id, **wanted.model_dump(), "created_at": clock()}
    try:
        async with database.single_statement() as transaction:
            return (await transaction.execute(insert(Model).values(**values).returning(Model.__table__))).one()
    except IntegrityError as error:
        name = f"{wanted.owner}/{wanted.name}"
        raise InvalidRequest([Problem("unique", "name", f"there is a model {name} already")]) from error


async def change(database: Database, model_id: str, changes: dict[str, Any]) -> Row[Any] | None:
    """The model with some columns changed; None if it was removed meanwhile."""
    # An UPDATE without a change gives no row back, so the name is written over itself.
    written = update(Model).where(Model.id == model_id, Model.removed_at.is_(None)).values(name=Model.name, **changes)
    async with database.single_statement() as transaction:
        return (await transaction.execute(written.returning(Model.__table__))).one_or_none()
