"""The workers that live, and what they have told of the versions they hold.

Who lives is told by the database's clock. What a report holds is decided by the worker that writes it.
"""

from typing import Any

from sqlalchemy import Row, select

from shared.contract import Residence
from shared.database import Database, clock
from shared.tables import Worker

UP = (Residence.WARM, Residence.BUSY)


async def alive(database: Database, lease_seconds: float) -> list[Row[Any]]:
    """Workers with a valid lease, the oldest first."""
    has_lease = Worker.last_seen > clock(-lease_seconds)
    query = select(Worker.__table__).where(Worker.is_lost.is_(False), has_lease)
    async with database.reading() as connection:
        return list((await connection.execute(query.order_by(Worker.created_at, Worker.id))).all())


def versions(worker: Row[Any]) -> list[dict[str, Any]]:
    """What it holds; nothing before its first report."""
    found: list[dict[str, Any]] = (worker.report or {}).get("versions", [])
    return found


async def is_up_elsewhere(database: Database, lease_seconds: float, version_id: str, worker_id: str) -> bool:
    """Whether another worker than this one would answer at once."""
    return any(
        told["version"] == version_id and told["state"] in UP
        for worker in await alive(database, lease_seconds)
        if worker.id != worker_id
        for told in versions(worker)
    )
