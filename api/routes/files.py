"""Files: upload, read, list, delete, and what is under their addresses.

An upload belongs to its account; an output file and a signed link are read by whoever has the address.
"""

import asyncio
import hmac
from time import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import Row, and_, select

from api.bodies import answer
from api.dependencies import Base, PredictionReader, PredictionWriter, Services, Wired
from api.documentation import answers, problems, request_body
from api.file_answer import FileAnswer
from api.paging import Paging
from api.uploads import receive
from shared import contract, files, rendering
from shared.errors import NotFound
from shared.file_names import is_shown_in_place
from shared.file_store import Incoming
from shared.files import Description
from shared.tables import File

router = APIRouter(tags=["files"])

PAGE_SIZE = 100
_FORM = {
    "type": "object",
    "required": ["content"],
    "properties": {
        "content": {"type": "string", "format": "binary"},
        "filename": {"type": "string"},
        "type": {"type": "string", "description": "Its media type."},
        "metadata": {"type": "object"},
    },
}
_FILLED = {"content": "hello", "filename": "hello.txt", "type": "text/plain", "metadata": {"from": "me"}}
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=3600",
    "Access-Control-Allow-Origin": "*",
}
"""Whatever a model or a client made, it must not act in the name of our address."""
_BYTES = {
    **answers(200, "The bytes, under the media type of the file", {"*/*": {}}),
    **answers(206, "The range of them that `Range` asked for", {"*/*": {}}),
    **problems(404, 416),
}


@router.post(
    "/files",
    operation_id="files.create",
    status_code=201,
    responses={201: {"model": contract.File}, **problems(400, 413, 415, 422)},
    openapi_extra=request_body({"multipart/form-data": {"schema": _FORM, "example": _FILLED}}),
)
async def upload_file(request: Request, caller: PredictionWriter, wired: Wired, base: Base) -> Response:
    """Keep a file for a day; its `urls.get` can be given as an input."""
    settings = wired.settings
    with await asyncio.to_thread(Incoming, settings.home) as incoming:
        upload = await receive(request, incoming, settings.max_upload_bytes)
        await asyncio.to_thread(incoming.complete)
        kept = settings.upload_seconds
        description = Description(caller.id, upload.name, upload.content_type, kept, details=upload.details)
        row = await files.register(wired.database, incoming, description)
        await asyncio.to_thread(incoming.publish, row.id)
    return answer(_shown(wired, row, caller, base), 201)


@router.get("/files", operation_id="files.list", response_model=contract.FilePage, responses=problems(400))
async def list_files(caller: PredictionReader, wired: Wired, base: Base, paging: Paging) -> Response:
    """Your uploaded files, newest first."""
    is_own = and_(File.account_id == caller.id, File.prediction_id.is_(None), files.IS_ALIVE)
    page = await paging.read(select(File.__table__).where(is_own), File, PAGE_SIZE)
    return answer(page.render(lambda row: _shown(wired, row, caller, base)))


@router.get("/files/{file_id}", operation_id="files.get", response_model=contract.File, responses=problems(404))
async def get_file(file_id: str, caller: PredictionReader, wired: Wired, base: Base) -> Response:
    """What is known about an uploaded file."""
    return answer(_shown(wired, await _own(wired, caller, file_id), caller, base))


@router.delete("/files/{file_id}", operation_id="files.delete", status_code=204, responses=problems(404))
async def delete_file(file_id: str, caller: PredictionWriter, wired: Wired) -> Response:
    """Forget an uploaded file."""
    row = await _own(wired, caller, file_id)
    await files.remove(wired.database, wired.settings.home, row.id)
    return Response(status_code=204)


@router.head("/files/{file_id}/download", include_in_schema=False)
@router.get("/files/{file_id}/download", operation_id="files.download", response_class=FileResponse, responses=_BYTES)
async def download_file(
    file_id: str,
    wired: Wired,
    owner: Annotated[str, Query()] = "",
    expiry: Annotated[str, Query(description="Seconds since 1970.")] = "",
    signature: Annotated[str, Query(description="The link's own permission; `urls.download` has one.")] = "",
) -> Response:
    """An uploaded file's bytes. Needs no token: the signature is the permission."""
    row = await files.find(wired.database, file_id)
    if row is None or row.prediction_id or not _is_signed(wired, row, owner, expiry, signature):
        raise NotFound("File not found")
    return await _bytes(wired, row, "attachment")


@router.head("/outputs/{file_id}/{name}", include_in_schema=False)
@router.get("/outputs/{file_id}/{name}", operation_id="outputs.download", response_class=FileResponse, responses=_BYTES)
async def download_output(file_id: str, name: str, wired: Wired) -> Response:
    """An output file's bytes. Needs no token: the address is the permission."""
    row = await files.find(wired.database, file_id)
    if row is None or row.prediction_id is None:
        raise NotFound("File not found")
    return await _bytes(wired, row, "inline" if is_shown_in_place(row.content_type) else "attachment")


async def _own(wired: Services, caller: Row[Any], file_id: str) -> Row[Any]:
    row = await files.find(wired.database, file_id)
    if row is None or row.account_id != caller.id or row.prediction_id:
        raise NotFound("File not found")
    return row


def _shown(wired: Services, row: Row[Any], caller: Row[Any], base: str) -> dict[str, Any]:
    # What an example keeps does not expire; a link to it does all the same.
    expiry = int(row.expires_at.timestamp() if row.expires_at else time() + wired.settings.upload_seconds)
    signature = files.signature(wired.database.vault, row, caller.username, expiry)
    return rendering.file(row, caller.username, signature, expiry, base)


def _is_signed(wired: Services, row: Row[Any], owner: str, expiry: str, signature: str) -> bool:
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) < 16) or int(expiry) <= time():
        return False
    expected = files.signature(wired.database.vault, row, owner, int(expiry))
    return hmac.compare_digest(expected.encode(), signature.encode())


async def _bytes(wired: Services, row: Row[Any], disposition: str) -> Response:
    path = await asyncio.to_thread(files.content_of, wired.settings.home, row)
    if path is None:
        raise NotFound("File not found")
    return FileAnswer(
        path,
        headers={**_SAFE, "ETag": f'"{row.sha256}"'},
        stat_result=await asyncio.to_thread(path.stat),
        media_type=row.content_type,
        filename=row.name,
        content_disposition_type=disposition,
    )
