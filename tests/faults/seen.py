"""All that can be told of a trial in the end, by its clients, their receiver, the API and the notes of the database.

Nothing is judged here.
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from shared.contract import Status
from shared.database import Database
from shared.tables import Prediction, StatusChange
from tests.faults.history import Order
from tests.receiver import Delivery


@dataclass(frozen=True)
class Start:
    """The first time that a prediction began to run, and how often it had been put into the queue in the end."""

    at: float
    deliveries: int


@dataclass(frozen=True)
class Seen:
    """The orders of one client; `now` is what the API says of each."""

    orders: list[Order]
    deliveries: list[Delivery] = field(default_factory=list)
    secret: str = ""
    now: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    told: dict[str, list[Delivery]] = field(default_factory=dict, init=False)
    """Of each order by its name, as they came."""

    def __post_init__(self) -> None:
        for delivery in self.deliveries:
            self.told.setdefault(delivery.path.rpartition("/")[2], []).append(delivery)


async def first_starts(database: Database, ids: list[str]) -> dict[str, Start]:
    """Of predictions that began to run."""
    first = select(StatusChange.prediction_id, func.min(StatusChange.changed_at).label("at"))
    first = first.where(StatusChange.status == Status.PROCESSING, StatusChange.prediction_id.in_(ids))
    began = first.group_by(StatusChange.prediction_id).subquery()
    query = select(began, Prediction.delivery).join(Prediction, Prediction.id == began.c.prediction_id)
    async with database.reading() as connection:
        rows = (await connection.execute(query)).all()
    return {row.prediction_id: Start(row.at.timestamp(), row.delivery) for row in rows}
