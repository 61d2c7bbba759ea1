"""find trainings."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    are_trainings = sa.text("kind = 'training'")
    op.create_index(
        "ix_predictions_trainings",
        "predictions",
        ["account_id", "created_at", "id"],
        unique=False,
        postgresql_where=are_trainings,
        sqlite_where=are_trainings,
    )


def downgrade() -> None:
    op.drop_index("ix_predictions_trainings", table_name="predictions")
