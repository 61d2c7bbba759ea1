"""Brings the database up to date: its tables, the first account and its token, and under which key its secrets are.

What the tables look like stands in `shared.tables`, how they became so in `migrations`.
"""

import ast
import asyncio
import re
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cli import configuration
from cli.failure import Failure
from cli.home import PROJECT
from cli.printing import say

if TYPE_CHECKING:
    from shared.settings import Settings

_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=(.+)$", re.MULTILINE)


def migrate() -> None:
    """Do it, on the database of the settings; doing it twice changes nothing."""
    settings = configuration.load()

    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    from shared.errors import SecretUnreadable, SettingsError

    try:
        _upgrade()
        asyncio.run(_complete(settings))
    except (SecretUnreadable, SettingsError) as error:
        raise Failure(error.message) from error
    except (OSError, ImportError, SQLAlchemyError, CommandError) as error:
        database = configuration.shown_database(settings)
        cause = str(error).partition("\n")[0] or type(error).__name__
        raise Failure(
            f"The database {database} cannot be brought up to date ({cause}): "
            "start it, or correct DATABASE_URL; without DATABASE_URL Pinion uses SQLite."
        ) from error


def _upgrade() -> None:
    """Tables of the next release stay as they are: a release that is taken back works with them."""
    from alembic import command
    from alembic.config import Config
    from alembic.script.revision import ResolutionError
    from alembic.util import CommandError

    try:
        command.upgrade(Config(PROJECT / "alembic.ini"), "head")
    except CommandError as error:
        if not isinstance(error.__cause__, ResolutionError):
            raise
        say("The database has been brought up to date by a newer release than this one; its tables stay as they are.")


async def _complete(settings: "Settings") -> None:
    """What a migration cannot do: it knows tables only."""
    from shared.accounts import ensure_default
    from shared.database import MIGRATIONS_WAIT, open_database
    from shared.encryption import renew

    await ensure_default(settings)
    async with open_database(settings, MIGRATIONS_WAIT) as database:
        await renew(database)


def is_current(database: Path, token: str) -> bool:
    """Whether `migrate` would find nothing to do in the embedded database.

    Asked without SQLAlchemy, whose loading would double the time of a start; in any doubt the answer is no.
    """
    if not database.exists():
        return False
    digest = sha256(token.encode()).hexdigest()
    try:
        with closing(sqlite3.connect(database)) as connection:
            revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            token_row = connection.execute("SELECT 1 FROM tokens WHERE digest = ?", (digest,)).fetchone()
    except sqlite3.Error:
        return False
    return revisions == [(newest_revision(PROJECT / "migrations" / "versions"),)] and token_row is not None


def newest_revision(folder: Path) -> str | None:
    """The one revision that no other builds upon."""
    revisions: set[str] = set()
    predecessors: set[str] = set()
    for file in folder.glob("*.py"):
        for down, value in _REVISION.findall(file.read_text()):
            named = ast.literal_eval(value.strip())
            (predecessors if down else revisions).update([named] if isinstance(named, str) else named or ())
    heads = revisions - predecessors
    return heads.pop() if len(heads) == 1 else None
