"""Models: read and list.

Pushing a version makes a model; see `versions`.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Row, select

from api.bodies import answer
from api.dependencies import Base, ModelReader, Wired
from api.documentation import ERRORS
from api.paging import read_page
from api.workers import residence
from shared import catalog, contract, rendering
from shared.errors import NotFound
from shared.tables import Model

router = APIRouter(tags=["models"])

PAGE_SIZE = 25


@router.get("/models", response_model=contract.ModelPage, responses=ERRORS)
async def list_models(
    request: Request, caller: ModelReader, wired: Wired, base: Base, cursor: Annotated[str | None, Query()] = None
) -> Response:
    """Public models and your own, newest first."""
    query = select(Model.__table__).where(catalog.is_visible(caller.id))
    page = await read_page(wired, query, Model, cursor, PAGE_SIZE)
    latest = await catalog.find_versions(wired.database, [row.latest_version_id for row in page.rows])
    counts = await catalog.run_counts(wired.database, [f"{row.owner}/{row.name}" for row in page.rows])

    def show(row: Row[Any]) -> dict[str, Any]:
        return rendering.model(row, latest.get(row.latest_version_id), counts.get(f"{row.owner}/{row.name}", 0), base)

    return answer(page.render(request, base, show))


@router.get("/models/{owner}/{name}", response_model=contract.Model, responses=ERRORS)
async def get_model(owner: str, name: str, caller: ModelReader, wired: Wired, base: Base) -> Response:
    """One model with its newest version, and where that is up."""
    row = await visible_model(wired, caller, owner, name)
    latest = await catalog.find_versions(wired.database, [row.latest_version_id])
    counts = await catalog.run_counts(wired.database, [f"{owner}/{name}"])
    shown = rendering.model(row, latest.get(row.latest_version_id), counts.get(f"{owner}/{name}", 0), base)
    if version := shown["latest_version"]:
        version |= await residence(wired, caller, version["id"])
    return answer(shown)


async def visible_model(wired: Wired, caller: Row[Any], owner: str, name: str) -> Row[Any]:
    """A model the caller may see; raises NotFound for a private one of somebody else."""
    row = await catalog.find_model(wired.database, caller.id, owner, name)
    if row is None:
        raise NotFound
    return row
