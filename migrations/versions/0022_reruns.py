"""reruns."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("models", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("rerun", sa.String(length=16), server_default="before_output", nullable=False))
    with op.batch_alter_table("workers", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("workers", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("stopped_at")
    with op.batch_alter_table("models", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("rerun")
