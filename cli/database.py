"""Commands that work on the database of the settings, as `migrate` does, and not over HTTP.

What they do there stands in the module of each command.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from cli import configuration
from cli.failure import Failure
from shared.database import Database, open_database
from shared.errors import RequestError

Found = TypeVar("Found")


def on_database(work: Callable[[Database], Awaitable[Found]]) -> Found:
    """What `work` gives; whatever keeps it from that becomes a Failure."""
    settings = configuration.load()

    async def done() -> Found:
        async with open_database(settings) as database:
            return await work(database)

    try:
        return asyncio.run(done())
    except RequestError as error:
        raise Failure(error.message) from error
    except (OSError, SQLAlchemyError) as error:
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise Failure(
            f"The database {configuration.shown_database(settings)} cannot be used ({cause}): start it, "
            "correct DATABASE_URL, or bring it up to date with `pinion migrate`."
        ) from error
