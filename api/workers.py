"""What the living workers have told of themselves, as one caller may see it.

Reads rows; nothing is asked of a worker itself.
"""

from typing import Any

from sqlalchemy import Row

from api.dependencies import Services
from shared import workers
from shared.catalog import is_visible, models_of
from shared.rendering import moment


async def alive(wired: Services) -> list[Row[Any]]:
    return await workers.alive(wired.database, wired.settings.lease_seconds)


async def holdings(
    wired: Services, caller: Row[Any], found: list[Row[Any]], version_id: str | None = None
) -> list[dict[str, Any]]:
    """What they hold, of one version or of all, of models the caller may see.

    Logs are for the owner: predictions of others may print there.
    """
    held = [
        (worker, told)
        for worker in found
        for told in workers.versions(worker)
        if version_id is None or told["version"] == version_id
    ]
    models = await models_of(wired.database, {told["version"] for _, told in held}, is_visible(caller.id))
    return [
        {
            "worker": worker.id,
            "host": worker.host,
            "model": f"{model.owner}/{model.name}",
            **told,
            "logs": told["logs"] if model.account_id == caller.id else None,
        }
        for worker, told in held
        if (model := models.get(told["version"]))
    ]


async def residence(wired: Services, caller: Row[Any], version_id: str) -> dict[str, Any]:
    """What a version's JSON says of where it is up."""
    held = await holdings(wired, caller, await alive(wired), version_id)
    return {"is_warm": any(each["state"] in workers.UP for each in held), "workers": held}


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
