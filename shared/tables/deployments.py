"""Deployments and what they have been.

What they ask of workers is read from their newest release.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.accounts import Account
from shared.tables.base import Table
from shared.tables.models import Version


class Deployment(Table):
    """A name under which an account runs a version of its choice; what it is at present says its newest release."""

    __tablename__ = "deployments"
    __table_args__ = (Index(None, "owner", "name", unique=True), Index(None, "account_id", "created_at", "id"))

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey(Account.id))
    owner: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    release: Mapped[int]
    """The number of the newest."""
    created_at: Mapped[datetime]


class Release(Table):
    """What a deployment is from one change to the next."""

    __tablename__ = "releases"
    __table_args__ = (Index(None, "version_id"),)

    deployment_id: Mapped[str] = mapped_column(ForeignKey(Deployment.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(129))
    version_id: Mapped[str] = mapped_column(ForeignKey(Version.id))
    hardware: Mapped[str] = mapped_column(String(64))
    min_instances: Mapped[int]
    max_instances: Mapped[int]
    created_by: Mapped[str] = mapped_column(ForeignKey(Account.id))
    created_at: Mapped[datetime]
