"""Search: models by words as Replicate's clients ask for them, and everything at once.

What fits, and how well, is told by `shared.search`.
"""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response

from api.bodies import answer
from api.dependencies import Base, ModelReader, Wired, bounded
from api.documentation import problems, request_body
from api.models import showing
from shared import collections, contract, rendering, search
from shared.errors import MalformedRequest

router = APIRouter(tags=["models"])

_BODY_BYTES_MAX = 6 * search.QUERY_CHARACTERS_MAX + 2
"""As many characters, each of them escaped."""
_FOUND_MAX = 50
"""Of one search, whose best results come first: there is no second page."""


@router.api_route(
    "/models",
    methods=["QUERY"],
    operation_id="models.search",
    response_model=contract.ModelPage,
    responses=problems(400, 413, 415, 422),
    openapi_extra=request_body({"text/plain": {"schema": {"type": "string"}, "example": "numbers"}}),
)
async def search_models(request: Request, caller: ModelReader, wired: Wired, base: Base) -> Response:
    """Models that have every word of the body, the best match first."""
    advice = f"A query has up to {search.QUERY_CHARACTERS_MAX} characters."
    body = b"".join([piece async for piece in bounded(request, _BODY_BYTES_MAX, advice)])
    wanted = search.models(search.words_of(_text(body)), caller.id).limit(_FOUND_MAX)
    async with wired.database.reading() as connection:
        rows = (await connection.execute(wanted)).all()
    show = await showing(wired, rows, base)
    return answer({"next": None, "previous": None, "results": [show(row) for row in rows]})


@router.get("/search", operation_id="search", response_model=contract.SearchResult, responses=problems(400, 422))
async def search_everything(
    caller: ModelReader,
    wired: Wired,
    base: Base,
    query: Annotated[str, Query(description="Words to look for.")] = "",
    limit: Annotated[int, Query(ge=1, le=_FOUND_MAX)] = 20,
) -> Response:
    """Models and collections that have every word of the query, the best match first."""
    words = search.words_of(query)
    async with wired.database.reading() as connection:
        rows = (await connection.execute(search.models(words, caller.id).limit(limit))).all()
    show = await showing(wired, rows, base)
    found = [
        {"model": show(row), "metadata": {"generated_description": None, "tags": [], "score": row.score}}
        for row in rows
    ]
    return answer(
        {"query": query, "models": found, "collections": await _collections(wired, caller, words, limit), "pages": []}
    )


async def _collections(wired: Wired, caller: Any, words: list[str], limit: int) -> list[dict[str, Any]]:
    rows = await search.collections(wired.database, words, limit)
    async with wired.database.reading() as connection:
        inside = (await connection.execute(collections.models_in([row.id for row in rows], caller.id))).all()
    names: dict[str, list[str]] = {row.id: [] for row in rows}
    for model in inside:
        names[model.collection_id].append(f"{model.owner}/{model.name}")
    return [rendering.collection(row) | {"models": names[row.id]} for row in rows]


def _text(body: bytes) -> str:
    """What to search for: clients send it as it is, or as JSON under either media type."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise MalformedRequest("The query must be UTF-8.") from None
    try:
        return msgspec.json.decode(text, type=str)
    except msgspec.MsgspecError:
        return text
