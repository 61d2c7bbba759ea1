"""models and collections."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STAYED = sa.text("removed_at IS NULL")
_EXAMPLES = sa.text("example_since IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.String(length=26), nullable=False),
        sa.Column("slug", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("full_description", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("slug", name=op.f("uq_collections_slug")),
    )
    op.create_table(
        "collected_models",
        sa.Column("collection_id", sa.String(length=26), nullable=False),
        sa.Column("model_id", sa.String(length=26), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_collected_models_collection_id")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_collected_models_model_id")),
        sa.PrimaryKeyConstraint("collection_id", "model_id", name=op.f("pk_collected_models")),
    )
    with op.batch_alter_table("models", schema=None) as batch_op:
        batch_op.add_column(sa.Column("readme", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("github_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("paper_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("license_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("weights_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("cover_image_url", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("hardware", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("run_count", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("counted_until", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_index("ix_models_owner_name")
        batch_op.create_index(
            "ix_models_owner_name", ["owner", "name"], unique=True, postgresql_where=_STAYED, sqlite_where=_STAYED
        )

    with op.batch_alter_table("predictions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("example_since", sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(
            "ix_predictions_examples",
            ["model", "example_since", "id"],
            unique=False,
            postgresql_where=_EXAMPLES,
            sqlite_where=_EXAMPLES,
        )

    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("versions", recreate="never") as batch_op:
        batch_op.drop_column("removed_at")

    with op.batch_alter_table("predictions", recreate="never") as batch_op:
        batch_op.drop_index("ix_predictions_examples", postgresql_where=_EXAMPLES, sqlite_where=_EXAMPLES)
        batch_op.drop_column("example_since")

    # A removed one may have the name of another, which the older index does not allow.
    op.execute("UPDATE models SET name = id WHERE removed_at IS NOT NULL")
    with op.batch_alter_table("models", recreate="never") as batch_op:
        batch_op.drop_index("ix_models_owner_name", postgresql_where=_STAYED, sqlite_where=_STAYED)
        batch_op.create_index("ix_models_owner_name", ["owner", "name"], unique=True)
        batch_op.drop_column("removed_at")
        batch_op.drop_column("counted_until")
        batch_op.drop_column("run_count")
        batch_op.drop_column("hardware")
        batch_op.drop_column("cover_image_url")
        batch_op.drop_column("weights_url")
        batch_op.drop_column("license_url")
        batch_op.drop_column("paper_url")
        batch_op.drop_column("github_url")
        batch_op.drop_column("readme")

    op.drop_table("collected_models")
    op.drop_table("collections")
