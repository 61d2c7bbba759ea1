"""deadlines, repeated creates, removal of data."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Tables are not copied, which is how Alembic helps SQLite otherwise: other rows refer to theirs.
_INDEXES = {
    "deadlines": (["deadline"], "deadline IS NOT NULL AND completed_at IS NULL"),
    "kept": (["completed_at"], "completed_at IS NOT NULL AND data_removed_at IS NULL"),
    "create_keys": (["create_key"], "create_key IS NOT NULL"),
    "fingerprints": (["fingerprint"], "fingerprint IS NOT NULL"),
    "repeatable": (["created_at"], "fingerprint IS NOT NULL"),
}


def upgrade() -> None:
    with op.batch_alter_table("accounts", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("shows_aborted", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("deadline", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("shows_aborted", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.add_column(sa.Column("create_key", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("fingerprint", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("data_removed_at", sa.DateTime(timezone=True), nullable=True))
        for name, (columns, where) in _INDEXES.items():
            batch_op.create_index(
                f"ix_predictions_{name}",
                columns,
                unique=name == "create_keys",
                postgresql_where=sa.text(where),
                sqlite_where=sa.text(where),
            )


def downgrade() -> None:
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        for name in _INDEXES:
            batch_op.drop_index(f"ix_predictions_{name}")
        for column in ("data_removed_at", "fingerprint", "create_key", "shows_aborted", "deadline"):
            batch_op.drop_column(column)
    with op.batch_alter_table("accounts", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("shows_aborted")
