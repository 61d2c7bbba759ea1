"""paused addresses."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "paused_addresses",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("account_id", sa.String(length=26), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_paused_addresses_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paused_addresses")),
    )
    op.create_index(op.f("ix_paused_addresses_account_id_until"), "paused_addresses", ["account_id", "until"])


def downgrade() -> None:
    op.drop_table("paused_addresses")
