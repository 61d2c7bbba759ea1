"""Versions of a model: push, read, list.

A pushed version is only stored here; a worker imports its predictor and publishes its schema.
"""

import asyncio
import tempfile
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import select

from api.dependencies import Base, Caller, Wired, bounded
from api.documentation import ERRORS
from api.paging import read_page
from api.routes.models import visible_model
from api.routes.predictions import answer
from shared import catalog, contract, rendering
from shared.contract import VersionStatus
from shared.errors import Forbidden, InvalidRequest, NotFound, Problem
from shared.storage import store_version
from shared.tables import Version

router = APIRouter(tags=["versions"])

PAGE_SIZE = 100


@router.post(
    "/models/{owner}/{name}/versions",
    status_code=201,
    responses={200: {"model": contract.Version}, 201: {"model": contract.Version}, **ERRORS},
    openapi_extra={"requestBody": {"required": True, "content": {"application/x-tar": {}}}},
)
async def push_version(owner: str, name: str, request: Request, caller: Caller, wired: Wired) -> Response:
    """Add a version from a tar archive of a Cog model's folder. Ours: pushing a model is running its code here.

    200 if this content was pushed before. Read the version until its status is no longer `building`.
    """
    if owner != caller.username:
        raise Forbidden(f"You may push to models of your own account only: {caller.username}/{name[:64]}.")
    if not catalog.NAME.fullmatch(name):
        rule = "a model's name has up to 63 lower-case letters, digits, dots, dashes and underscores"
        raise InvalidRequest([Problem("pattern", "name", rule)])
    with tempfile.TemporaryFile(dir=wired.settings.home) as archive:
        async for piece in bounded(request, wired.settings.max_archive_bytes):
            await asyncio.to_thread(archive.write, piece)
        archive.seek(0)
        limit = wired.settings.max_archive_bytes
        version_id = await asyncio.to_thread(store_version, wired.settings.home, f"{owner}/{name}", archive, limit)
    row = await catalog.add_version(wired.database, caller.id, owner, name, version_id)
    return answer(rendering.version(row), 200 if row.status == VersionStatus.READY else 201)


@router.get("/models/{owner}/{name}/versions", response_model=contract.VersionPage, responses=ERRORS)
async def list_versions(
    owner: str,
    name: str,
    request: Request,
    caller: Caller,
    wired: Wired,
    base: Base,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    """Versions that can be run, newest first."""
    model = await visible_model(wired, caller, owner, name)
    query = select(Version.__table__).where(Version.model_id == model.id, Version.status == VersionStatus.READY)
    page = await read_page(wired, query, Version, cursor, PAGE_SIZE)
    return answer(page.render(request, base, rendering.version))


@router.get("/models/{owner}/{name}/versions/{version_id}", response_model=contract.Version, responses=ERRORS)
async def get_version(owner: str, name: str, version_id: str, caller: Caller, wired: Wired) -> Response:
    """One version, also while it is being built."""
    model = await visible_model(wired, caller, owner, name)
    row = (await catalog.find_versions(wired.database, [version_id])).get(version_id)
    if row is None or row.model_id != model.id:
        raise NotFound
    return answer(rendering.version(row))
