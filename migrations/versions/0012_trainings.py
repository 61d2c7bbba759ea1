"""trainings."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(length=16), server_default="prediction", nullable=False))
        batch_op.add_column(sa.Column("destination", sa.String(length=129), nullable=True))
        batch_op.add_column(sa.Column("trained_version_id", sa.String(length=64), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.drop_column("trained_version_id")
        batch_op.drop_column("destination")
        batch_op.drop_column("kind")
