"""find messages that are done with."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_DELIVERED = sa.text("state = 'delivered'")
_DONE_WITH = sa.text("state = 'delivered' OR (state = 'dead' AND event != 'completed')")


def upgrade() -> None:
    op.create_index(
        "ix_webhook_messages_done",
        "webhook_messages",
        ["created_at"],
        postgresql_where=_DONE_WITH,
        sqlite_where=_DONE_WITH,
    )
    op.drop_index("ix_webhook_messages_delivered", table_name="webhook_messages")


def downgrade() -> None:
    op.create_index(
        "ix_webhook_messages_delivered",
        "webhook_messages",
        ["created_at"],
        postgresql_where=_DELIVERED,
        sqlite_where=_DELIVERED,
    )
    op.drop_index("ix_webhook_messages_done", table_name="webhook_messages")
