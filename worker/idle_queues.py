"""Closes the queues of versions that nobody has asked for in a while: each costs every worker a connection.

Whoever asks again opens it again. Only an empty queue is closed.
"""

from collections.abc import Collection

from sqlalchemy import select

from shared import catalog
from shared.contract import Kind
from shared.database import Database, clock
from shared.queue import close_queues, open_queues
from shared.tables import Prediction

_IDLE_SECONDS = 3600.0


async def close_idle_queues(database: Database) -> None:
    """Those of versions without a prediction in the last hour."""
    versions = set(await open_queues(database.redis))
    if idle := versions - await _asked_for(database, versions):
        await close_queues(database.redis, idle)


async def _asked_for(database: Database, versions: Collection[str]) -> set[str]:
    """By way of their models, whose predictions can be found by their age."""
    models = {f"{row.owner}/{row.name}" for row in (await catalog.models_of(database, versions)).values()}
    is_recent = (Prediction.created_at > clock(-_IDLE_SECONDS), Prediction.kind == Kind.PREDICTION)
    query = select(Prediction.version_id).where(Prediction.model.in_(models), *is_recent).distinct()
    async with database.reading() as connection:
        return set((await connection.execute(query)).scalars().all())
