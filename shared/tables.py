"""The rows.

Columns and keys only: no query, no rule. Who may change a status stands in `lifecycle`.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects.sqlite.base import SQLiteTypeCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Timestamp(TypeDecorator[datetime]):
    """A moment in UTC, aware on both databases; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=value.tzinfo or UTC)


class Json(JSON):
    """A JSON value that comes back as it went in. SQLite takes the word JSON for that of a number, and 0.0 for 0."""

    cache_ok = True


@compiles(Json, "sqlite")
def _json_sqlite(element: Json, compiler: SQLiteTypeCompiler, **options: Any) -> str:
    return "TEXT"


class Table(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - read by SQLAlchemy from the class
        datetime: Timestamp,
        dict[str, Any]: Json,
        list[str]: Json,
    }


def _partial(name: str, *columns: str, where: str) -> Index:
    """An index over what is under way only, so that it stays as small as the backlog."""
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


class Account(Table):
    """Who owns models, predictions and tokens."""

    __tablename__ = "accounts"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    type: Mapped[str] = mapped_column(String(16))
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    webhook_secret: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime]


class Token(Table):
    """An API token, kept as its SHA-256: tokens are long and random, so a fast hash is enough."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    name: Mapped[str] = mapped_column(String(255))
    ending: Mapped[str] = mapped_column(String(4))
    scopes: Mapped[list[str] | None] = mapped_column(Json(none_as_null=True))
    """What it may be used for; none is everything, also what is added later."""
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class Model(Table):
    """A named machine-learning model; its versions are what runs."""

    __tablename__ = "models"
    __table_args__ = (Index(None, "owner", "name", unique=True),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    owner: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    visibility: Mapped[str] = mapped_column(String(16))
    description: Mapped[str | None] = mapped_column(Text)
    latest_version_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Version(Table):
    """One pushed state of a model, named by the hash of its files."""

    __tablename__ = "versions"
    __table_args__ = (Index(None, "model_id", "created_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey(Model.id))
    status: Mapped[str] = mapped_column(String(16))
    openapi_schema: Mapped[dict[str, Any] | None]
    is_iterator: Mapped[bool]
    logs: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    weights: Mapped[Any | None] = mapped_column(Json(none_as_null=True))
    """What setup() is handed: an address, or a file of ours as it stands in an output."""
    delivery: Mapped[int]
    queued_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Worker(Table):
    """A running worker process; `last_seen` is its lease, told by the database's clock."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    is_lost: Mapped[bool]
    report: Mapped[dict[str, Any] | None]
    """What it told last of its models and their memory."""
    last_seen: Mapped[datetime]
    created_at: Mapped[datetime]


class Prediction(Table):
    """The job itself: what was asked, who works on it, what came of it."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index(None, "account_id", "created_at", "id"),
        Index(None, "model", "created_at"),
        _partial("ix_predictions_waiting", "queued_at", "id", where="status = 'starting'"),
        _partial("ix_predictions_running", "worker_id", where="status = 'processing'"),
    )

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    model: Mapped[str] = mapped_column(String(129))
    version_id: Mapped[str] = mapped_column(ForeignKey(Version.id))
    status: Mapped[str] = mapped_column(String(16))
    input: Mapped[dict[str, Any]]
    output: Mapped[Any | None] = mapped_column(Json(none_as_null=True))
    logs: Mapped[str] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    metrics: Mapped[dict[str, Any]]
    source: Mapped[str] = mapped_column(String(8))
    webhook: Mapped[str | None] = mapped_column(Text)
    webhook_events: Mapped[list[str]]
    stream_token: Mapped[str | None] = mapped_column(String(26))
    delivery: Mapped[int]
    """How often it was put into the queue; part of the queue entry's id."""
    attempt: Mapped[int]
    """How often a worker claimed it: the fencing token of every later write."""
    worker_id: Mapped[str | None] = mapped_column(String(26))
    cancel_requested_at: Mapped[datetime | None]
    queued_at: Mapped[datetime]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class File(Table):
    """What a client uploaded, or a model brought forth; the bytes lie in a folder, under the id."""

    __tablename__ = "files"
    __table_args__ = (
        Index(None, "account_id", "created_at", "id"),
        Index(None, "prediction_id"),
        Index(None, "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    """Of an output it is the permission to read it, too."""
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    prediction_id: Mapped[str | None] = mapped_column(ForeignKey(Prediction.id))
    """Which prediction it is an output of; none for an upload."""
    name: Mapped[str] = mapped_column(String(255))
    content_type: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    md5: Mapped[str] = mapped_column(String(32))
    details: Mapped[dict[str, Any]]
    """What the API calls metadata, a name SQLAlchemy keeps for itself."""
    secret: Mapped[str] = mapped_column(String(26))
    """Signs its download links."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class WebhookMessage(Table):
    """One message owed to a receiver, its body as it was when the event happened."""

    __tablename__ = "webhook_messages"
    __table_args__ = (
        Index(None, "prediction_id", "sequence"),
        _partial("ix_webhook_messages_due", "next_attempt_at", where="state IN ('pending', 'delivering')"),
        _partial("ix_webhook_messages_delivered", "created_at", where="state = 'delivered'"),
    )

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    prediction_id: Mapped[str] = mapped_column(ForeignKey(Prediction.id))
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    event: Mapped[str] = mapped_column(String(16))
    sequence: Mapped[int]
    """Order within the prediction; `completed` is last."""
    url: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    """When it is due; while it is being delivered, when that claim lapses."""
    claimed_by: Mapped[str | None] = mapped_column(String(26))
    """The sender that delivers it, or did last."""
    last_answer: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Leadership(Table):
    """Who of several processes does a chore that one alone should do."""

    __tablename__ = "leaderships"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(26))
    until: Mapped[datetime]
