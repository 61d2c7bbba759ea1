"""Models, their versions, and the collections they are put into.

Files of a version are not here; they lie in a folder by its id.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Json, Table, partial


class Model(Table):
    """A named machine-learning model; its versions are what runs. A removed one leaves its name to another."""

    __tablename__ = "models"
    __table_args__ = (partial("ix_models_owner_name", "owner", "name", where="removed_at IS NULL", is_unique=True),)

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    owner: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    visibility: Mapped[str] = mapped_column(String(16))
    description: Mapped[str | None] = mapped_column(Text)
    readme: Mapped[str | None] = mapped_column(Text)
    """Markdown."""
    github_url: Mapped[str | None] = mapped_column(Text)
    paper_url: Mapped[str | None] = mapped_column(Text)
    license_url: Mapped[str | None] = mapped_column(Text)
    weights_url: Mapped[str | None] = mapped_column(Text)
    cover_image_url: Mapped[str | None] = mapped_column(Text)
    hardware: Mapped[str | None] = mapped_column(String(64))
    """As it was wished when the model was made; workers run it where it fits."""
    rerun: Mapped[str] = mapped_column(String(16), server_default="before_output")
    """When a prediction is run again whose worker is gone."""
    latest_version_id: Mapped[str | None] = mapped_column(String(64))
    run_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """How many predictions it had before `counted_until`."""
    counted_until: Mapped[datetime | None]
    """None until the first have been counted."""
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


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
    removed_at: Mapped[datetime | None]


class Collection(Table):
    """Models that belong together, as the operator has put them."""

    __tablename__ = "collections"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    slug: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(Text)
    full_description: Mapped[str | None] = mapped_column(Text)
    """Markdown."""
    created_at: Mapped[datetime]


class CollectedModel(Table):
    """A model in a collection; `place` counts from 0."""

    __tablename__ = "collected_models"

    collection_id: Mapped[str] = mapped_column(ForeignKey(Collection.id), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey(Model.id), primary_key=True)
    place: Mapped[int]
