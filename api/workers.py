"""What the workers that live have told of themselves: which versions they hold, and how those are.

Reads rows; who is alive is told by the database's clock. Nothing is asked of a worker itself.
"""

from typing import Any

from sqlalchemy import Row, or_, select

from api.dependencies import Services
from shared.contract import Residence
from shared.database import clock
from shared.rendering import moment
from shared.tables import Model, Version, Worker

_UP = (Residence.WARM, Residence.BUSY)


async def alive(wired: Services) -> list[Row[Any]]:
    """Workers with a valid lease, the oldest first."""
    lease = clock(-wired.settings.lease_seconds)
    query = select(Worker.__table__).where(Worker.is_lost.is_(False), Worker.last_seen > lease)
    async with wired.database.reading() as connection:
        return list((await connection.execute(query.order_by(Worker.created_at, Worker.id))).all())


async def holdings(wired: Services, caller: Row[Any], workers: list[Row[Any]]) -> list[dict[str, Any]]:
    """What they hold of models the caller may see. Logs are for the owner: predictions of others may print there."""
    ids = {told["version"] for worker in workers for told in (worker.report or {}).get("versions", [])}
    may_see = or_(Model.visibility == "public", Model.account_id == caller.id)
    query = select(Version.id, Model.owner, Model.name, Model.account_id).join(Model, Model.id == Version.model_id)
    async with wired.database.reading() as connection:
        found = (await connection.execute(query.where(Version.id.in_(ids), may_see))).all() if ids else []
    models = {row.id: row for row in found}
    return [
        {
            "worker": worker.id,
            "host": worker.host,
            "model": f"{model.owner}/{model.name}",
            **told,
            "logs": told["logs"] if model.account_id == caller.id else None,
        }
        for worker in workers
        for told in (worker.report or {}).get("versions", [])
        if (model := models.get(told["version"]))
    ]


async def residence(wired: Services, caller: Row[Any], version_id: str) -> dict[str, Any]:
    """What a version's JSON says of where it is up."""
    held = [each for each in await holdings(wired, caller, await alive(wired)) if each["version"] == version_id]
    return {"is_warm": any(each["state"] in _UP for each in held), "workers": held}


def rendered(worker: Row[Any], held: list[dict[str, Any]]) -> dict[str, Any]:
    """A worker as clients see it."""
    return {
        "id": worker.id,
        "host": worker.host,
        "created_at": moment(worker.created_at),
        "last_seen_at": moment(worker.last_seen),
        "memory": (worker.report or {}).get("memory", []),
        "models": [each for each in held if each["worker"] == worker.id],
    }
