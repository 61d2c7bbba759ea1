"""json as text.

SQLite gives a column declared JSON the affinity of a number: 0.0 became 0, and a large integer lost its digits. The
declaration is all that changes, so it is edited where it stands, as SQLite allows for what does not change the rows:
copying the tables would be slow, and would break the references between them.
"""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = {
    "tokens": ("scopes",),
    "versions": ("openapi_schema", "weights"),
    "workers": ("report",),
    "predictions": ("input", "output", "metrics", "webhook_events"),
    "files": ("details",),
}


def upgrade() -> None:
    _declare("JSON", "TEXT")


def downgrade() -> None:
    _declare("TEXT", "JSON")


def _declare(before: str, after: str) -> None:
    if op.get_context().dialect.name != "sqlite":
        return  # Postgres keeps the text of a JSON value
    op.execute("PRAGMA writable_schema = ON")
    for table, columns in _COLUMNS.items():
        _edit(table, rf"\b({'|'.join(columns)}) {before}\b", rf"\1 {after}")
    op.execute(f"PRAGMA schema_version = {_asked('PRAGMA schema_version') + 1}")  # other connections read it anew
    op.execute("PRAGMA writable_schema = RESET")
    op.execute("UPDATE predictions SET output = output WHERE output IS NOT NULL")  # whole outputs may be numbers


def _edit(table: str, pattern: str, replacement: str) -> None:
    declared = _asked("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = :table", table=table)
    edit = sa.text("UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = :table")
    op.get_bind().execute(edit, {"table": table, "sql": re.sub(pattern, replacement, declared)})


def _asked(question: str, **parameters: str) -> Any:
    return op.get_bind().execute(sa.text(question), parameters).scalar_one()
