"""How one looks: at which database, how far back, and for how long something may be under way.

No invariant stands here.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, or_

from shared.database import Database, clock
from shared.tables import Prediction, StatusChange

IDS_MAX = 1000
"""How many offenders of an invariant are named."""


@dataclass(frozen=True, slots=True)
class Look:
    """`grace_seconds` is how long a repair may take: what is younger is not judged yet."""

    database: Database
    since_seconds: float
    lease_seconds: float
    grace_seconds: float

    async def rows(self, query: Select[*tuple[Any, ...]]) -> list[Any]:
        async with self.database.reading() as connection:
            return list((await connection.execute(query)).all())

    async def ids(self, query: Select[*tuple[Any, ...]]) -> list[str]:
        """The first column, which is an id; each once."""
        return list(dict.fromkeys(str(row[0]) for row in await self.rows(query.limit(IDS_MAX))))

    @property
    def is_recent(self) -> ColumnElement[bool]:
        """Of a prediction: it has not ended, or not long ago."""
        return or_(Prediction.completed_at.is_(None), Prediction.completed_at > clock(-self.since_seconds))

    @property
    def is_recent_step(self) -> ColumnElement[bool]:
        return StatusChange.changed_at > clock(-self.since_seconds)

    @property
    def repaired_until(self) -> Any:
        """What was due before this moment has had its time."""
        return clock(-self.grace_seconds)


Find = Callable[[Look], Awaitable[Sequence[str]]]
