"""what attempts tell."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_JSON = sa.JSON().with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("webhook_attempts", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("trigger", sa.String(length=16), server_default="scheduled", nullable=False))
        batch_op.add_column(sa.Column("address", sa.String(length=45), nullable=True))
        batch_op.add_column(sa.Column("signed_by", _JSON, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("webhook_attempts", schema=None, recreate="never") as batch_op:
        for column in ("signed_by", "address", "trigger"):
            batch_op.drop_column(column)
