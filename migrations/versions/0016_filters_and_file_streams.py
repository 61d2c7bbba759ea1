"""filters and file streams."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OF_MODELS = "ix_predictions_account_id_model_created_at_id"
_PARTIAL = {
    "ix_predictions_unfinished": "status IN ('starting', 'processing')",
    "ix_predictions_failed": "status = 'failed'",
    "ix_predictions_stopped": "status IN ('canceled', 'aborted')",
    "ix_predictions_web": "source = 'web'",
}


def upgrade() -> None:
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("streams_files", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(op.f(_OF_MODELS), "predictions", ["account_id", "model", "created_at", "id"], unique=False)
    for name, condition in _PARTIAL.items():
        op.create_index(
            name,
            "predictions",
            ["account_id", "created_at", "id"],
            unique=False,
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )


def downgrade() -> None:
    for name in (*_PARTIAL, _OF_MODELS):
        op.drop_index(name, table_name="predictions")
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("streams_files")
