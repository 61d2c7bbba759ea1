"""Versions of a model: push, read, list, delete.

A pushed version is only stored here, once its contents have arrived; a worker imports its predictor and publishes its
schema.
"""

import asyncio
import hmac
import os
import stat
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from sqlalchemy import select

from api.bodies import answer
from api.dependencies import ModelReader, ModelWriter, Wired, bounded
from api.documentation import json_request, problems
from api.paging import Paging
from api.routes.models import own_model, visible_model
from api.workers import residence
from shared import catalog, contract, removal, rendering
from shared.accounts import DEFAULT_USERNAME
from shared.contents import Contents
from shared.contract import VersionStatus
from shared.errors import Forbidden, InvalidPush, NotFound
from shared.settings import Settings
from shared.storage import MAX_ENTRIES, check_files, has_files, link_version, store_version
from shared.tables import Version

router = APIRouter(tags=["versions"])

PAGE_SIZE = 100
_LIST_BYTES_MAX = MAX_ENTRIES * 512
"""What so many files come to, with names of ordinary length."""
_FEWER_FILES = "Send fewer files: let a .dockerignore name what no prediction needs."
_NOT_YOURS = "Only the first account, whose machine this is, may have folders linked. Push it without --link."
_ELSEWHERE = "Only a folder of the server's own machine can be linked. Push it without --link."


@router.post(
    "/models/{owner}/{name}/versions",
    operation_id="models.versions.create",
    status_code=201,
    responses={
        200: {"model": contract.Version},
        201: {"model": contract.Version},
        202: {"model": contract.MissingContents},
        **problems(413, 415, 422),
    },
    openapi_extra=json_request(contract.Push),
)
async def push_version(owner: str, name: str, request: Request, caller: ModelWriter, wired: Wired) -> Response:
    """Add a version by what a Cog model's folder holds. Ours: pushing a model is running its code here.

    202 names the contents the server lacks; send them and push again. 200 if this was pushed before. Read the version
    until its status is no longer `building`.
    """
    if owner != caller.username:
        raise Forbidden(f"You may push to models of your own account only: {caller.username}/{name[:64]}.")
    catalog.check_name(name)
    body = b"".join([piece async for piece in bounded(request, _LIST_BYTES_MAX, _FEWER_FILES)])
    push = await asyncio.to_thread(_read, body)
    if push.link and caller.username != DEFAULT_USERNAME:
        raise Forbidden(_NOT_YOURS)
    stored = await asyncio.to_thread(_store, wired.settings, caller.id, f"{owner}/{name}", push)
    if not isinstance(stored, str):
        return answer({"missing": stored}, 202)
    row = await catalog.add_version(wired.database, caller.id, owner, name, stored, push.visibility)
    if not has_files(wired.settings.home, row.id):  # it had been removed before, and its files were just deleted
        await asyncio.to_thread(_store, wired.settings, caller.id, f"{owner}/{name}", push)
    return answer(rendering.version(row), 200 if row.status == VersionStatus.READY else 201)


def _read(body: bytes) -> contract.Push:
    try:
        return contract.Push.model_validate_json(body)
    except ValidationError as error:
        raise InvalidPush(f"The body does not say what the folder holds: {_first(error)}.") from None


def _store(settings: Settings, account_id: str, model: str, push: contract.Push) -> str | list[dict[str, Any]]:
    """The id of the version that was made, or the contents that are missing for it. Raises RequestError."""
    check_files(push.files, settings.max_archive_bytes)
    if push.link:
        _check_witness(push.link)
        return link_version(settings.home, model, push.files, Path(push.link.path))
    contents = Contents(settings.home, account_id)
    with contents.used():
        missing = _missing(contents, {file.sha256: file.size for file in push.files})
        return missing or store_version(settings.home, model, push.files, contents)


def _missing(contents: Contents, wanted: dict[str, int]) -> list[dict[str, Any]]:
    return [
        {"sha256": digest, "size": size, "received": min(contents.received(digest), size)}
        for digest, size in wanted.items()
        if not contents.has(digest, size)
    ]


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")


def _check_witness(link: contract.LinkedFolder) -> None:
    """Only who is on this host can have written a file here."""
    try:
        descriptor = os.open(link.witness, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except (OSError, ValueError):
        raise InvalidPush(_ELSEWHERE) from None
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if not is_file or not hmac.compare_digest(os.read(descriptor, 256), link.nonce.encode()):
            raise InvalidPush(_ELSEWHERE)
    finally:
        os.close(descriptor)


@router.get(
    "/models/{owner}/{name}/versions",
    operation_id="models.versions.list",
    response_model=contract.VersionPage,
    responses=problems(400, 404),
)
async def list_versions(owner: str, name: str, caller: ModelReader, wired: Wired, paging: Paging) -> Response:
    """Versions that can be run, newest first."""
    model = await visible_model(wired, caller, owner, name)
    query = select(Version.__table__).where(Version.model_id == model.id, Version.status == VersionStatus.READY)
    page = await paging.read(query, Version, PAGE_SIZE, sized=(Version.openapi_schema, Version.logs))
    return answer(page.render(rendering.version))


@router.get(
    "/models/{owner}/{name}/versions/{version_id}",
    operation_id="models.versions.get",
    response_model=contract.Version,
    responses=problems(404),
)
async def get_version(owner: str, name: str, version_id: str, caller: ModelReader, wired: Wired) -> Response:
    """One version, also while it is being built, and where it is up."""
    model = await visible_model(wired, caller, owner, name)
    row = (await catalog.find_versions(wired.database, [version_id])).get(version_id)
    if row is None or row.model_id != model.id:
        raise NotFound
    return answer(rendering.version(row) | await residence(wired, caller, row.id))


@router.delete(
    "/models/{owner}/{name}/versions/{version_id}",
    operation_id="models.versions.delete",
    status_code=202,
    response_class=Response,
    responses=problems(404, 422),
)
async def delete_version(owner: str, name: str, version_id: str, caller: ModelWriter, wired: Wired) -> Response:
    """Delete a version of a private model of yours; 422 says what keeps it.

    Nobody can run it from now on. Predictions of it that wait are still run, and its files go after them.
    """
    model = await own_model(wired, caller, owner, name)
    await removal.remove_version(wired.database, wired.settings, model, version_id)
    return Response(status_code=202)
