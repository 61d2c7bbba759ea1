"""Pages of a list, newest first, with opaque cursors.

Knows rows by `created_at` and `id` only; what is listed is the route's business.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Row, Select, tuple_
from starlette.requests import Request

from api.dependencies import Services
from shared.errors import MalformedRequest


class _Cursor(msgspec.Struct, array_like=True):
    backwards: bool
    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page and the cursors beside it."""

    rows: list[Row[Any]]
    next: str | None
    previous: str | None

    def render(self, request: Request, base: str, show: Callable[[Row[Any]], dict[str, Any]]) -> dict[str, Any]:
        return {
            "next": _address(request, base, self.next),
            "previous": _address(request, base, self.previous),
            "results": [show(row) for row in self.rows],
        }


async def read_page(services: Services, query: Select[Any], table: Any, cursor: str | None, size: int) -> Page:
    """Rows of `query` from the cursor on; raises MalformedRequest for a cursor we did not make."""
    place = _decode(cursor) if cursor else None
    key = tuple_(table.created_at, table.id)
    backwards = place is not None and place.backwards
    if place:
        here = tuple_(place.created_at, place.id)
        query = query.where(key > here if backwards else key < here)
    order = (table.created_at.asc(), table.id.asc()) if backwards else (table.created_at.desc(), table.id.desc())
    async with services.database.reading() as connection:
        rows = list((await connection.execute(query.order_by(*order).limit(size + 1))).all())
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        rows.reverse()
    has_next, has_previous = (bool(place), more) if backwards else (more, bool(place))
    return Page(
        rows,
        _encode(rows[-1], backwards=False) if rows and has_next else None,
        _encode(rows[0], backwards=True) if rows and has_previous else None,
    )


def _encode(row: Row[Any], backwards: bool) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(_Cursor(backwards, row.created_at, row.id))).decode()


def _decode(cursor: str) -> _Cursor:
    try:
        place = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor.encode()), type=_Cursor)
        return _Cursor(place.backwards, place.created_at.astimezone(UTC), _checked_id(place.id))
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise MalformedRequest("The cursor is not one of ours. Use the addresses in `next` and `previous`.") from error


def _checked_id(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise ValueError("no id of ours")
    return text


def _address(request: Request, base: str, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    return f"{base}{request.url.path}?{urlencode([*dict(kept).items(), ('cursor', cursor)])}"
