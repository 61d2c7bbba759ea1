"""Runs migrations on the database of the settings.

Knows tables and settings only; no service has to run.
"""

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection

from shared.database import MIGRATIONS_WAIT, open_engine
from shared.settings import Settings
from shared.tables import Json, Table, Timestamp


def _render(kind: str, item: object, context: object) -> str | Literal[False]:
    # A migration must not change when our own type does.
    if isinstance(item, Json):
        return f'sa.JSON(none_as_null={item.none_as_null}).with_variant(sa.Text(), "sqlite")'
    return "sa.DateTime(timezone=True)" if isinstance(item, Timestamp) else False


def _run(connection: Connection) -> None:
    # SQLite cannot alter a table in place: batch mode copies it.
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True, render_item=_render)
    with context.begin_transaction():
        context.run_migrations()


async def _migrate() -> None:
    engine = open_engine(Settings(), MIGRATIONS_WAIT)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


if context.is_offline_mode():
    context.configure(url=Settings().database_url, target_metadata=Table.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(_migrate())
