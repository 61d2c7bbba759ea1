"""find delivered messages."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_index(
        "ix_webhook_messages_delivered",
        "webhook_messages",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state = 'delivered'"),
        sqlite_where=sa.text("state = 'delivered'"),
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_messages_delivered", table_name="webhook_messages")
