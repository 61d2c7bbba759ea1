"""Collections: list and read.

They are made on the command line, with `pinion collection`.
"""

from fastapi import APIRouter, Response
from sqlalchemy import select

from api.bodies import answer
from api.dependencies import Base, ModelReader, Wired
from api.documentation import problems
from api.models import showing
from api.paging import Paging
from shared import collections, contract, rendering
from shared.errors import NotFound
from shared.tables import Collection

router = APIRouter(tags=["collections"])

PAGE_SIZE = 100


@router.get(
    "/collections", operation_id="collections.list", response_model=contract.CollectionPage, responses=problems(400)
)
async def list_collections(caller: ModelReader, paging: Paging) -> Response:
    """All collections, newest first."""
    page = await paging.read(select(Collection.__table__), Collection, PAGE_SIZE)
    return answer(page.render(rendering.collection))


@router.get(
    "/collections/{slug}", operation_id="collections.get", response_model=contract.Collection, responses=problems(404)
)
async def get_collection(slug: str, caller: ModelReader, wired: Wired, base: Base) -> Response:
    """One collection, with those of its models that you may see."""
    row = await collections.find(wired.database, slug)
    if row is None:
        raise NotFound
    async with wired.database.reading() as connection:
        models = (await connection.execute(collections.models_in([row.id], caller.id))).all()
    show = await showing(wired, models, base)
    inside = {"full_description": row.full_description, "models": [show(model) for model in models]}
    return answer(rendering.collection(row) | inside)
