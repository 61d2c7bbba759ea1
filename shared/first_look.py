"""What each service looks at when it starts: whether it can read the database's secrets, and whether clocks agree.

A database that is away must not stop a start, nor must a wrong clock.
"""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from shared import clocks, encryption
from shared.database import Database
from shared.rendering import moment

_log = structlog.get_logger()


async def look(database: Database) -> None:
    """Raises SecretUnreadable; what else is not as it should be is logged."""
    try:
        await encryption.check(database)
        found = await clocks.read(database)
    except (SQLAlchemyError, OSError) as error:
        _log.warning("keys and clocks not checked", error=type(error).__name__)
        return
    if found.differ:
        _log.warning(
            "the clocks of this host and of the database differ: set both by NTP",
            host=moment(found.host),
            database=moment(found.database),
            seconds_ahead=round(found.seconds_ahead),
        )
