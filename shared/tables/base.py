"""What all rows have in common: their base, and how moments and JSON are kept.

No table stands here.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Index, MetaData, TypeDecorator, text
from sqlalchemy.dialects.sqlite.base import SQLiteTypeCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, aware on both databases; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Json(JSON):
    """A JSON value that comes back as it went in. SQLite takes the word JSON for that of a number, and 0.0 for 0."""

    cache_ok = True


@compiles(Json, "sqlite")
def _json_sqlite(element: Json, compiler: SQLiteTypeCompiler, **options: Any) -> str:
    return "TEXT"


class Table(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy from the class
        datetime: Timestamp,
        dict[str, Any]: Json,
        list[str]: Json,
    }


def partial(name: str, *columns: str, where: str, is_unique: bool = False) -> Index:
    """An index over some rows only, so that it stays as small as what is asked for: a backlog, examples."""
    return Index(name, *columns, unique=is_unique, postgresql_where=text(where), sqlite_where=text(where))
