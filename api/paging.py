"""Pages of a list, newest first or as an `Order` says, with opaque cursors.

Knows rows by a moment and their `id` only; what is listed is the route's business.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from sqlalchemy import Row, Select, SQLColumnExpression, tuple_
from starlette.requests import Request

from api.dependencies import Services
from shared.errors import MalformedRequest

_MOMENT = "moment_of_order"


class _Cursor(msgspec.Struct, array_like=True):
    backwards: bool
    moment: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Order:
    """Which moment of a row counts, never null; rows of the same moment follow by `id`."""

    moment: SQLColumnExpression[Any]
    id: SQLColumnExpression[str]
    is_ascending: bool = False


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


async def read_page(
    services: Services, query: Select[Any], table: Any, cursor: str | None, size: int, order: Order | None = None
) -> Page:
    """Rows of `query` from the cursor on; raises MalformedRequest for a cursor we did not make."""
    order = order or Order(table.created_at, table.id)
    place = _decode(cursor) if cursor else None
    backwards = place is not None and place.backwards
    is_rising = order.is_ascending != backwards
    if place:
        key, here = tuple_(order.moment, order.id), tuple_(place.moment, place.id)
        query = query.where(key > here if is_rising else key < here)
    columns = [column.asc() if is_rising else column.desc() for column in (order.moment, order.id)]
    query = query.add_columns(order.moment.label(_MOMENT)).order_by(*columns).limit(size + 1)
    async with services.database.reading() as connection:
        rows = list((await connection.execute(query)).all())
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
    place = _Cursor(backwards, row._mapping[_MOMENT], row.id)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).decode()


def _decode(cursor: str) -> _Cursor:
    try:
        place = msgspec.msgpack.decode(base64.urlsafe_b64decode(cursor.encode()), type=_Cursor)
        return _Cursor(place.backwards, place.moment.astimezone(UTC), _checked_id(place.id))
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
