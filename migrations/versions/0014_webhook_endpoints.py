"""webhook endpoints, lanes, the log of attempts, and a second secret.

Messages that the release before this one writes meanwhile have no lane of their own: they are delivered one by one.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    with op.batch_alter_table("accounts", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("former_webhook_secret", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("former_secret_until", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.add_column(sa.Column("tells_endpoints", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("account_id", sa.String(length=26), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_webhook_endpoints_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_endpoints")),
    )
    with op.batch_alter_table("webhook_endpoints", schema=None) as batch_op:
        columns = ["account_id", "created_at", "id"]
        batch_op.create_index(batch_op.f("ix_webhook_endpoints_account_id_created_at_id"), columns, unique=False)
    _widen_messages()
    op.create_table(
        "webhook_attempts",
        sa.Column("message_id", sa.String(length=30), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["webhook_messages.id"], name=op.f("fk_webhook_attempts_message_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("pk_webhook_attempts")),
    )


def _widen_messages() -> None:
    with op.batch_alter_table("webhook_messages", schema=None) as batch_op:
        batch_op.alter_column("prediction_id", existing_type=sa.String(length=26), nullable=True)
        batch_op.add_column(sa.Column("endpoint_id", sa.String(length=26), nullable=True))
        batch_op.add_column(sa.Column("lane", sa.String(length=64), server_default="", nullable=False))
        batch_op.add_column(sa.Column("host", sa.String(length=255), server_default="", nullable=False))
        batch_op.add_column(sa.Column("replayed_after", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("reason", sa.Text(), nullable=True))
    op.execute("UPDATE webhook_messages SET lane = prediction_id")
    op.execute("UPDATE webhook_messages SET reason = last_answer WHERE state = 'dead'")
    with op.batch_alter_table("webhook_messages", schema=None, recreate="never") as batch_op:
        batch_op.create_index(batch_op.f("ix_webhook_messages_lane_sequence"), ["lane", "sequence"], unique=False)
        columns = ["account_id", "created_at", "id"]
        batch_op.create_index(batch_op.f("ix_webhook_messages_account_id_created_at_id"), columns, unique=False)
        is_dead = sa.text("state = 'dead' AND event = 'completed'")
        batch_op.create_index(
            "ix_webhook_messages_dead",
            ["account_id", "created_at"],
            unique=False,
            postgresql_where=is_dead,
            sqlite_where=is_dead,
        )


def downgrade() -> None:
    op.drop_table("webhook_attempts")
    op.execute("DELETE FROM webhook_messages WHERE prediction_id IS NULL OR endpoint_id IS NOT NULL")
    with op.batch_alter_table("webhook_messages", schema=None) as batch_op:
        batch_op.drop_index("ix_webhook_messages_dead")
        batch_op.drop_index(batch_op.f("ix_webhook_messages_account_id_created_at_id"))
        batch_op.drop_index(batch_op.f("ix_webhook_messages_lane_sequence"))
        for column in ("reason", "replayed_after", "host", "lane", "endpoint_id"):
            batch_op.drop_column(column)
        batch_op.alter_column("prediction_id", existing_type=sa.String(length=26), nullable=False)
    op.drop_table("webhook_endpoints")
    with op.batch_alter_table("predictions", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("tells_endpoints")
    with op.batch_alter_table("accounts", schema=None, recreate="never") as batch_op:
        batch_op.drop_column("former_secret_until")
        batch_op.drop_column("former_webhook_secret")
