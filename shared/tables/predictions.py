"""Predictions and trainings, the jobs themselves.

Who may change a status stands in `lifecycle`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Json, Table, partial
from shared.tables.models import Version

_PLACE = ("account_id", "created_at", "id")
"""Where it stands in the list of its account."""


class Prediction(Table):
    """The job itself: what was asked, who works on it, what came of it."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index(None, *_PLACE),
        Index(None, "model", "created_at"),
        # For lists that are filtered. Those over some rows only cost what succeeds nothing, or little.
        Index(None, "account_id", "model", "created_at", "id"),
        partial("ix_predictions_unfinished", *_PLACE, where="status IN ('starting', 'processing')"),
        partial("ix_predictions_failed", *_PLACE, where="status = 'failed'"),
        partial("ix_predictions_stopped", *_PLACE, where="status IN ('canceled', 'aborted')"),
        partial("ix_predictions_web", *_PLACE, where="source = 'web'"),
        partial("ix_predictions_deployment", "deployment", "created_at", "id", where="deployment IS NOT NULL"),
        partial("ix_predictions_waiting", "queued_at", "id", where="status = 'starting'"),
        partial("ix_predictions_running", "worker_id", where="status = 'processing'"),
        partial("ix_predictions_trainings", *_PLACE, where="kind = 'training'"),
        partial("ix_predictions_examples", "model", "example_since", "id", where="example_since IS NOT NULL"),
        partial("ix_predictions_deadlines", "deadline", where="deadline IS NOT NULL AND completed_at IS NULL"),
        partial("ix_predictions_kept", "completed_at", where="completed_at IS NOT NULL AND data_removed_at IS NULL"),
        partial("ix_predictions_create_keys", "create_key", where="create_key IS NOT NULL", is_unique=True),
        partial("ix_predictions_fingerprints", "fingerprint", where="fingerprint IS NOT NULL"),
        partial("ix_predictions_repeatable", "created_at", where="fingerprint IS NOT NULL"),
    )

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    model: Mapped[str] = mapped_column(String(129))
    version_id: Mapped[str] = mapped_column(ForeignKey(Version.id))
    deployment: Mapped[str | None] = mapped_column(String(129))
    """The `owner/name` it was asked of, if it was one."""
    status: Mapped[str] = mapped_column(String(16))
    input: Mapped[dict[str, Any]]
    secret_inputs: Mapped[list[str] | None] = mapped_column(Json(none_as_null=True))
    """The names of those that are shown to nobody, and encrypted."""
    output: Mapped[Any | None] = mapped_column(Json(none_as_null=True))
    logs: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(8))
    kind: Mapped[str] = mapped_column(String(16), server_default="prediction")
    """A training is a prediction of train(), and has what stands in the next two columns."""
    destination: Mapped[str | None] = mapped_column(String(129))
    """The model, `owner/name`, that is to get a new version."""
    trained_version_id: Mapped[str | None] = mapped_column(String(64))
    """That version, from the moment it is to be built."""
    webhook: Mapped[str | None] = mapped_column(Text)
    webhook_events: Mapped[list[str]]
    tells_endpoints: Mapped[bool] = mapped_column(server_default=false())
    """Whether its account had endpoints when it was created, so that the others need not be asked for."""
    stream_token: Mapped[str | None] = mapped_column(String(26))
    streams_files: Mapped[bool] = mapped_column(server_default=false())
    """Whether all that it streams are files, by its version's schema."""
    delivery: Mapped[int]
    """How often it was put into the queue; part of the queue entry's id."""
    attempt: Mapped[int]
    """How often a worker claimed it: the fencing token of every later write."""
    worker_id: Mapped[str | None] = mapped_column(String(26))
    cancel_requested_at: Mapped[datetime | None]
    example_since: Mapped[datetime | None]
    """Since when its model shows it as an example; while it does, nothing of it is removed."""
    deadline: Mapped[datetime | None]
    """When it is ended, whatever it does then."""
    shows_aborted: Mapped[bool] = mapped_column(server_default=false())
    """As its account wished when it was created."""
    create_key: Mapped[str | None] = mapped_column(String(64))
    """There is one prediction of each; see `creates`."""
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    """Of the request that created it, where it may come again."""
    queued_at: Mapped[datetime]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    data_removed_at: Mapped[datetime | None]
    """When input, output and logs were removed; the rest stays."""
