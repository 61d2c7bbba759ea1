"""Writing what must not be lost through an outage of the database.

Only writes that may be repeated are handed here. What fails for another reason would fail the next time too.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

Result = TypeVar("Result")

OUTAGE_SECONDS = 600.0
"""How long an outage a running prediction's result survives."""
_PASSING = ("08", "25006", "40", "53", "55", "57", "58")
"""Classes of SQLSTATE that time heals: connections, writes refused for now, conflicts, room, locks, a server that
stops or whose disk fails."""
_log = structlog.get_logger()


async def persistently(write: Callable[[], Awaitable[Result]]) -> Result:
    """Try until it works or ten minutes are over, with growing pauses; raises the last error."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OUTAGE_SECONDS
    pause = 0.1
    while True:
        try:
            return await write()
        except (DBAPIError, PoolTimeoutError, OSError) as error:
            if loop.time() > deadline or not _may_pass(error):
                raise
            _log.warning("database unreachable, trying again", error=type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 10.0)


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return True
    if state := getattr(error.orig, "sqlstate", None):
        return str(state).startswith(_PASSING)
    return not isinstance(error, DataError | IntegrityError | NotSupportedError | ProgrammingError)
