"""encrypted secrets.

Room for the secrets of files, which `pinion migrate` encrypts after this, and no secret input in webhook bodies from
before they were masked. Nothing is encrypted here: a migration has no key.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MASK = "*" * 10
_BATCH = 500
_PREDICTIONS = sa.table("predictions", sa.column("id"), sa.column("secret_inputs", sa.JSON(none_as_null=True)))
_MESSAGES = sa.table(
    "webhook_messages", sa.column("id"), sa.column("prediction_id"), sa.column("body", sa.LargeBinary())
)


def upgrade() -> None:
    _declare_secret(26, 128)
    last = ""
    while rows := _bodies_after(last):
        for row in rows:
            if (masked := _masked(row.body, row.secret_inputs)) != row.body:
                change = sa.update(_MESSAGES).where(_MESSAGES.c.id == row.id).values(body=masked)
                op.get_bind().execute(change)
        last = rows[-1].id


def downgrade() -> None:
    _declare_secret(128, 26)  # secrets that are encrypted are cut: their links end


def _declare_secret(before: int, after: int) -> None:
    if op.get_context().dialect.name != "sqlite":
        kept = f"substr(secret, 1, {after})"
        op.alter_column("files", "secret", type_=sa.String(after), postgresql_using=kept)
        return
    # SQLite holds nobody to a length. The declaration is edited where it stands: see 0008.
    op.execute("PRAGMA writable_schema = ON")
    question = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'files'"
    declared = op.get_bind().execute(sa.text(question)).scalar_one()
    edited = re.sub(rf"\bsecret VARCHAR\({before}\)", f"secret VARCHAR({after})", declared)
    change = sa.text("UPDATE sqlite_schema SET sql = :sql WHERE type = 'table' AND name = 'files'")
    op.get_bind().execute(change, {"sql": edited})
    version = op.get_bind().execute(sa.text("PRAGMA schema_version")).scalar_one()
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = RESET")


def _bodies_after(last: str) -> Sequence[Any]:
    """Of predictions with secret inputs; those that are not empty."""
    joined = _MESSAGES.join(_PREDICTIONS, _PREDICTIONS.c.id == _MESSAGES.c.prediction_id)
    is_meant = sa.and_(_PREDICTIONS.c.secret_inputs.is_not(None), _MESSAGES.c.body != b"", _MESSAGES.c.id > last)
    query = sa.select(_MESSAGES.c.id, _MESSAGES.c.body, _PREDICTIONS.c.secret_inputs).select_from(joined)
    return op.get_bind().execute(query.where(is_meant).order_by(_MESSAGES.c.id).limit(_BATCH)).all()


def _masked(body: bytes, names: list[str]) -> bytes:
    told = json.loads(body)
    given = told.get("input") or {}
    masked = {name: _mask(value) if name in names else value for name, value in given.items()}
    if masked == given:
        return body
    return json.dumps({**told, "input": masked}, separators=(",", ":"), ensure_ascii=False).encode()


def _mask(value: Any) -> Any:
    if isinstance(value, list):
        return [_mask(item) for item in value]
    return None if value is None else _MASK
