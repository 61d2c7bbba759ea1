"""Models: make, read, list, describe anew, delete.

Pushing a version makes a model, too; see `versions`.
"""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import PlainTextResponse
from sqlalchemy import Row, func, select

from api.bodies import answer, checked
from api.dependencies import Base, JsonBody, ModelReader, ModelWriter, Wired
from api.documentation import SENT, answers, json_request, problems
from api.models import showing
from api.paging import Order, Paging
from api.workers import residence
from shared import catalog, contract, models, removal
from shared.errors import Forbidden, NotFound
from shared.tables import Model, Version

router = APIRouter(tags=["models"])

PAGE_SIZE = 25
_MARKDOWN = {"text/plain": {"schema": {"type": "string"}, "example": "# Spells numbers"}}


class SortBy(StrEnum):
    """Which moment orders a list of models; one without a version counts by its own."""

    MODEL = "model_created_at"
    LATEST_VERSION = "latest_version_created_at"


class SortDirection(StrEnum):
    """Which end of a list comes first."""

    ASCENDING = "asc"
    DESCENDING = "desc"


_MOMENTS = {
    SortBy.MODEL: Model.created_at,
    SortBy.LATEST_VERSION: func.coalesce(Version.created_at, Model.created_at),
}


@router.get("/models", operation_id="models.list", response_model=contract.ModelPage, responses=problems(400, 422))
async def list_models(
    caller: ModelReader,
    wired: Wired,
    base: Base,
    paging: Paging,
    sort_by: Annotated[SortBy, Query()] = SortBy.LATEST_VERSION,
    sort_direction: Annotated[SortDirection, Query()] = SortDirection.DESCENDING,
) -> Response:
    """Public models and your own, those with the newest versions first."""
    query = select(Model.__table__).outerjoin(Version, Version.id == Model.latest_version_id)
    order = Order(_MOMENTS[sort_by], Model.id, is_ascending=sort_direction == SortDirection.ASCENDING)
    page = await paging.read(query.where(catalog.is_visible(caller.id)), Model, PAGE_SIZE, order)
    return answer(page.render(await showing(wired, page.rows, base)))


@router.post(
    "/models",
    operation_id="models.create",
    status_code=201,
    responses={201: {"model": contract.Model}, **problems(*SENT)},
    openapi_extra=json_request(contract.ModelCreate),
)
async def create_model(caller: ModelWriter, wired: Wired, base: Base, body: JsonBody) -> Response:
    """Make a model without a version, to push to."""
    wanted = checked(contract.ModelCreate, body)
    catalog.check_name(wanted.name)
    if wanted.owner != caller.username:
        raise Forbidden(f"You may make models of your own account only: {caller.username}/{wanted.name}.")
    row = await models.create(wired.database, caller.id, wanted)
    return answer((await showing(wired, [row], base))(row), 201)


@router.get("/models/{owner}/{name}", operation_id="models.get", response_model=contract.Model, responses=problems(404))
async def get_model(owner: str, name: str, caller: ModelReader, wired: Wired, base: Base) -> Response:
    """One model with its newest version, and where that is up."""
    row = await visible_model(wired, caller, owner, name)
    shown = (await showing(wired, [row], base))(row)
    if version := shown["latest_version"]:
        version |= await residence(wired, caller, version["id"])
    return answer(shown)


@router.patch(
    "/models/{owner}/{name}",
    operation_id="models.update",
    response_model=contract.Model,
    responses=problems(*SENT, 404),
    openapi_extra=json_request(contract.ModelUpdate),
)
async def update_model(
    owner: str, name: str, caller: ModelWriter, wired: Wired, base: Base, body: JsonBody
) -> Response:
    """Change what is said about a model of yours, and who may see it; what is not given stays."""
    model = await own_model(wired, caller, owner, name)
    changes = checked(contract.ModelUpdate, body).model_dump(exclude_unset=True)
    row = await models.change(wired.database, model.id, changes)
    if row is None:
        raise NotFound
    return answer((await showing(wired, [row], base))(row))


@router.delete("/models/{owner}/{name}", operation_id="models.delete", status_code=204, responses=problems(404, 422))
async def delete_model(owner: str, name: str, caller: ModelWriter, wired: Wired) -> Response:
    """Delete a private model of yours that has no versions; 422 says what keeps it."""
    await removal.remove_model(wired.database, await own_model(wired, caller, owner, name))
    return Response(status_code=204)


@router.get(
    "/models/{owner}/{name}/readme",
    operation_id="models.readme.get",
    response_class=PlainTextResponse,
    responses=answers(200, "Markdown", _MARKDOWN) | problems(404),
)
async def get_readme(owner: str, name: str, caller: ModelReader, wired: Wired) -> Response:
    """The model's README, as Markdown; 404 if there is none."""
    row = await visible_model(wired, caller, owner, name)
    if not row.readme:
        raise NotFound
    return PlainTextResponse(row.readme)


async def visible_model(wired: Wired, caller: Row[Any], owner: str, name: str) -> Row[Any]:
    """A model the caller may see; raises NotFound for a private one of somebody else."""
    row = await catalog.find_model(wired.database, caller.id, owner, name)
    if row is None:
        raise NotFound
    return row


async def own_model(wired: Wired, caller: Row[Any], owner: str, name: str) -> Row[Any]:
    """A model the caller may change; raises NotFound, or Forbidden for a public one of somebody else."""
    row = await visible_model(wired, caller, owner, name)
    if row.account_id != caller.id:
        raise Forbidden("You may change models of your own account only.")
    return row
