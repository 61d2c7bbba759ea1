"""How often models were run: counted once for the past, which the model's row keeps, and each time for the rest.

Creating a prediction writes nothing but the prediction, however many are made of one model.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, func, select, update

from shared.contract import Kind
from shared.database import Database, clock
from shared.tables import Model, Prediction

_SETTLED_SECONDS = 60.0
"""What is older than this has been committed."""
_COUNTED_UNTIL = func.coalesce(Model.counted_until, Model.created_at)


def _is_uncounted() -> ColumnElement[bool]:
    """Of a prediction, compared with its model; one that bore the name before has nothing to do with it."""
    is_run = and_(Prediction.model == Model.owner + "/" + Model.name, Prediction.kind == Kind.PREDICTION)
    return and_(is_run, Prediction.created_at >= _COUNTED_UNTIL)


async def read(database: Database, model_ids: Sequence[str]) -> dict[str, int]:
    """By the models' ids."""
    query = select(Model.id, Model.run_count + func.count(Prediction.model)).outerjoin(Prediction, _is_uncounted())
    query = query.where(Model.id.in_(model_ids)).group_by(Model.id, Model.run_count)
    async with database.reading() as connection:
        return {model_id: count for model_id, count in (await connection.execute(query)).all()}


async def add_up(database: Database) -> None:
    """Count the past of every model; whoever else does so at the same time counts nothing twice."""
    async with database.reading() as connection:
        until = (await connection.execute(select(clock(-_SETTLED_SECONDS)))).scalar_one()
        ids = (await connection.execute(select(Model.id).where(Model.removed_at.is_(None)))).scalars().all()
    new = select(func.count()).select_from(Prediction).where(_is_uncounted(), Prediction.created_at < until)
    total = Model.run_count + new.correlate(Model).scalar_subquery()
    for model_id in ids:
        is_behind = and_(Model.id == model_id, until > _COUNTED_UNTIL)
        async with database.single_statement() as transaction:
            await transaction.execute(update(Model).where(is_behind).values(run_count=total, counted_until=until))
