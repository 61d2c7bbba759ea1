"""Processes that work: the row is a lease.

What becomes of what a dead one had is decided in the sweep.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.base import Table


class Worker(Table):
    """A running worker process; `last_seen` is its lease, told by the database's clock."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(26), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    is_lost: Mapped[bool]
    stopped_at: Mapped[datetime | None]
    """When it signed off; None if it lives, or died without a word."""
    report: Mapped[dict[str, Any] | None]
    """What it told last of its models and their memory."""
    last_seen: Mapped[datetime]
    created_at: Mapped[datetime]


class Leadership(Table):
    """Who of several processes does a chore that one alone should do."""

    __tablename__ = "leaderships"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(26))
    until: Mapped[datetime]
