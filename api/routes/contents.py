"""Contents of files that are about to be pushed: received piece by piece, and gone on with after a cut.

Which of them are needed is told by `versions`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from api.bodies import answer
from api.dependencies import ModelWriter, Wired, bounded
from api.documentation import problems, request_body
from shared import contract
from shared.contents import PACK_BYTES_MAX, Contents
from shared.errors import BodyTooLarge
from shared.sizes import size_in_words

router = APIRouter(tags=["versions"])

_WRITTEN_AT_ONCE_BYTES = 1 << 20
"""To hand a piece to a thread costs more than to write it."""
_BYTES = {"schema": {"type": "string", "format": "binary"}, "example": "hello"}
_RAW = request_body({"application/octet-stream": _BYTES})


@router.put(
    "/contents/{sha256}",
    operation_id="contents.create",
    response_model=contract.ReceivedContent,
    responses={202: {"model": contract.ReceivedContent}, **problems(409, 413, 415, 422)},
    openapi_extra=_RAW,
)
async def put_content(
    sha256: str,
    request: Request,
    caller: ModelWriter,
    wired: Wired,
    size: Annotated[int, Query(ge=0)],
    offset: Annotated[int, Query(ge=0)] = 0,
    packed: bool = False,
) -> Response:
    """Send a file's content, or the rest of it from `offset` on. Ours, not Replicate's.

    200 once all `size` bytes are here and are what the name says; 202 if some are still missing; 409 names the place
    to go on from. A `packed` content holds small ones, each behind its length in four bytes with the highest first.
    """
    largest = PACK_BYTES_MAX if packed else wired.settings.max_archive_bytes
    if size > largest:
        raise BodyTooLarge(f"The content is larger than {size_in_words(largest)}.")
    contents = Contents(wired.settings.home, caller.id)
    arrival = await asyncio.to_thread(contents.open, sha256, offset)
    try:
        async for piece in _in_large_pieces(bounded(request, size - offset, "More arrives than was announced.")):
            await asyncio.to_thread(arrival.write, piece)
    finally:
        arrival.close()
    keep = contents.keep_packed if packed else contents.keep
    is_complete = await asyncio.to_thread(keep, sha256, size)
    return answer({"received": size if is_complete else contents.received(sha256)}, 200 if is_complete else 202)


async def _in_large_pieces(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What comes in before a cut is handed on, too: the next request goes on from there."""
    pieces: list[bytes] = []
    held = 0
    with suppress(ClientDisconnect):
        async for piece in body:
            pieces.append(piece)
            held += len(piece)
            if held >= _WRITTEN_AT_ONCE_BYTES:
                yield b"".join(pieces)
                pieces, held = [], 0
    yield b"".join(pieces)
