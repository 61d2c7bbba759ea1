"""Commands that work on the database of the settings, as `migrate` does, and not over HTTP; and how they answer.

What they do there stands in the module of each command.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
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


def say(line: str) -> None:
    """To a person; stdout is for programs."""
    print(line, file=sys.stderr)


def show(heads: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> None:
    """In columns as wide as they have to be, also where nobody looks but a program."""
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    for line in (heads, *lines):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
