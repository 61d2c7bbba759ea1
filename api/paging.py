"""Pages of a list, newest first or as an `Order` says, with opaque cursors; a page is full by rows or by bytes.

Knows rows by a moment, their `id` and their size only; what is listed is the route's business.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, Query, Request
from sqlalchemy import Row, Select, SQLColumnExpression, func, literal, select, tuple_

from api.dependencies import Base, Services, Wired
from shared.database import octets, packed_octets
from shared.errors import MalformedRequest
from shared.tables import Prediction

PAGE_BYTES = 1 << 23
"""A row that would begin behind so many bytes is left to the next page; a single one may be as large as it is."""
SIZED_PREDICTION = (Prediction.input, Prediction.output, Prediction.logs, Prediction.error, Prediction.metrics)
"""What makes predictions and trainings large."""
_MOMENT, _FOUND = "moment_of_order", "found_from_here"
Columns = Sequence[SQLColumnExpression[Any]]


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

    request: Request
    base: str
    rows: list[Row[Any]]
    next: str | None
    previous: str | None

    def render(self, show: Callable[[Row[Any]], dict[str, Any]]) -> dict[str, Any]:
        return {
            "next": self._address(self.next),
            "previous": self._address(self.previous),
            "results": [show(row) for row in self.rows],
        }

    def _address(self, cursor: str | None) -> str | None:
        if cursor is None:
            return None
        kept = [(key, value) for key, value in self.request.query_params.multi_items() if key != "cursor"]
        return f"{self.base}{self.request.url.path}?{urlencode([*dict(kept).items(), ('cursor', cursor)])}"


@dataclass(frozen=True, slots=True)
class Pages:
    """Those of a list, of which a request wants one."""

    request: Request
    services: Services
    base: str
    cursor: str | None

    async def read(
        self, query: Select[Any], table: Any, size: int, order: Order | None = None, sized: Columns = ()
    ) -> Page:
        """Rows of `query` from the cursor on; raises MalformedRequest for a cursor we did not make.

        Where `sized` names columns of `table`, a page ends as well when what stands in them fills it.
        """
        order = order or Order(table.created_at, table.id)
        place = _decode(self.cursor) if self.cursor else None
        backwards = place is not None and place.backwards
        is_rising = order.is_ascending != backwards
        if place:
            key, here = tuple_(order.moment, order.id), tuple_(place.moment, place.id)
            query = query.where(key > here if is_rising else key < here)
        columns = [column.asc() if is_rising else column.desc() for column in (order.moment, order.id)]
        query = query.add_columns(order.moment.label(_MOMENT)).order_by(*columns).limit(size + 1)
        if sized:
            query = _until_full(query, table, sized, is_rising)
        async with self.services.database.reading() as connection:
            rows = list((await connection.execute(query)).all())
        found = rows[0]._mapping[_FOUND] if sized and rows else len(rows)
        rows = rows[:size]
        more = found > len(rows)
        if backwards:
            rows.reverse()
        has_next, has_previous = (bool(place), more) if backwards else (more, bool(place))
        return Page(
            self.request,
            self.base,
            rows,
            _encode(rows[-1], backwards=False) if rows and has_next else None,
            _encode(rows[0], backwards=True) if rows and has_previous else None,
        )


async def _pages(request: Request, wired: Wired, base: Base, cursor: Annotated[str | None, Query()] = None) -> Pages:
    return Pages(request, wired, base, cursor)


Paging = Annotated[Pages, Depends(_pages)]


def _until_full(nearest: Select[Any], table: Any, sized: Columns, is_rising: bool) -> Select[Any]:
    """The first of these rows, one at least; each knows how many there are.

    What lies behind the end of the page even as it is packed is never unpacked to be measured.
    """
    packed = nearest.with_only_columns(
        table.id, nearest.selected_columns[_MOMENT], _sum(packed_octets, sized)
    ).subquery()
    first = select(packed, func.count().over().label(_FOUND), _before(packed, packed.c.octets, is_rising)).subquery()
    whole = select(first.c.id, first.c[_MOMENT], first.c[_FOUND], _before(first, _sum(octets, sized), is_rising))
    page = whole.join(table, table.id == first.c.id).where(first.c.before < PAGE_BYTES).subquery()
    rows = select(table.__table__, page.c[_MOMENT], page.c[_FOUND]).join(page, page.c.id == table.id)
    return rows.where(page.c.before < PAGE_BYTES).order_by(*_order(page, is_rising))


def _sum(measure: Callable[[Any], Any], sized: Columns) -> Any:
    return sum((func.coalesce(measure(column), 0) for column in sized), literal(0)).label("octets")


def _before(rows: Any, weight: Any, is_rising: bool) -> Any:
    """The weight of all rows before each."""
    return func.coalesce(func.sum(weight).over(order_by=_order(rows, is_rising), rows=(None, -1)), 0).label("before")


def _order(rows: Any, is_rising: bool) -> list[Any]:
    return [column.asc() if is_rising else column.desc() for column in (rows.c[_MOMENT], rows.c.id)]


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
    if not (text.isascii() and text.replace("_", "").isalnum()):
        raise ValueError("no id of ours")
    return text
