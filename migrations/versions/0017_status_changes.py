"""status changes.

Written by triggers, so that nothing that changes a prediction can leave them out. A later migration that builds the
table of predictions anew, as batches on SQLite do by default, has to make the triggers again.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TRIGGERS = ("note_created_prediction", "note_changed_prediction")
_CHANGES = "UPDATE OF status, error, output, completed_at ON predictions"
_COLUMNS = "prediction_id, attempt, worker_id, former, status, changed_at"
# Everything but retention leaves what has ended as it is. `differs` and `text` are the database's own words.
_IS_CHANGE = """
    OLD.status <> NEW.status OR (
        OLD.completed_at IS NOT NULL AND NEW.data_removed_at IS NULL AND (
            OLD.completed_at {differs} NEW.completed_at
            OR OLD.error {differs} NEW.error
            OR CAST(OLD.output AS TEXT) {differs} CAST(NEW.output AS TEXT)
        )
    )
"""


def upgrade() -> None:
    op.create_table(
        "status_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("prediction_id", sa.String(length=26), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(length=26), nullable=True),
        sa.Column("former", sa.String(length=16), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_changes")),
    )
    op.create_index(op.f("ix_status_changes_prediction_id"), "status_changes", ["prediction_id"], unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _make_triggers_postgresql()
    else:
        _make_triggers_sqlite()


def _make_triggers_postgresql() -> None:
    op.execute(f"""
        CREATE FUNCTION note_status_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO status_changes ({_COLUMNS})
            VALUES (NEW.id, NEW.attempt, NEW.worker_id, OLD.status, NEW.status, clock_timestamp());
            RETURN NULL;
        END $$
    """)  # noqa: S608 - names of ours
    act = "FOR EACH ROW {condition} EXECUTE FUNCTION note_status_change()"
    is_change = f"WHEN ({_IS_CHANGE.format(differs='IS DISTINCT FROM')})"
    created, changed = _TRIGGERS
    op.execute(f"CREATE TRIGGER {created} AFTER INSERT ON predictions {act.format(condition='')}")
    op.execute(f"CREATE TRIGGER {changed} AFTER {_CHANGES} {act.format(condition=is_change)}")


def _make_triggers_sqlite() -> None:
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'"
    act = f"""BEGIN
        INSERT INTO status_changes ({_COLUMNS})
        VALUES (NEW.id, NEW.attempt, NEW.worker_id, {{former}}, NEW.status, {now});
    END"""  # noqa: S608 - names of ours
    created, changed = _TRIGGERS
    is_change = f"WHEN {_IS_CHANGE.format(differs='IS NOT')}"
    op.execute(f"CREATE TRIGGER {created} AFTER INSERT ON predictions {act.format(former='NULL')}")
    op.execute(f"CREATE TRIGGER {changed} AFTER {_CHANGES} {is_change} {act.format(former='OLD.status')}")


def downgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for trigger in _TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON predictions" if is_postgresql else f"DROP TRIGGER {trigger}")
    if is_postgresql:
        op.execute("DROP FUNCTION note_status_change")
    op.drop_table("status_changes")
