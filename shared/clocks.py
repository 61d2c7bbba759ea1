"""How far this host's clock is from the database's, which decides what is due, what has expired and what is signed.

Nothing is set right here: that is the business of NTP.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import select

from shared.database import Database, clock

_NOTABLE_SECONDS = 30.0


class Clocks(NamedTuple):
    """Both at one moment."""

    host: datetime
    database: datetime

    @property
    def seconds_ahead(self) -> float:
        """By which the host's is ahead; less than nothing where it is behind."""
        return (self.host - self.database).total_seconds()

    @property
    def differ(self) -> bool:
        """So much that moments of this host mislead."""
        return abs(self.seconds_ahead) > _NOTABLE_SECONDS


async def read(database: Database) -> Clocks:
    """Both, the host's halfway between question and answer."""
    asked = datetime.now(UTC)
    async with database.reading() as connection:
        told = (await connection.execute(select(clock()))).scalar_one()
    return Clocks(asked + (datetime.now(UTC) - asked) / 2, told)
