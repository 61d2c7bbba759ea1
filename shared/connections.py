"""Database connections kept open between two uses.

Taking one from the engine's pool and giving it back costs more than a short statement. What a statement does is not
known here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Connections:
    """Lends connections of an engine, and keeps a few of either kind that nobody uses out of its pool."""

    def __init__(self, engine: AsyncEngine, spares: int) -> None:
        self._transactional = _Kind(engine)
        self._autocommit = _Kind(engine.execution_options(isolation_level="AUTOCOMMIT"))
        self._spares = spares

    @asynccontextmanager
    async def transactional(self) -> AsyncIterator[AsyncConnection]:
        """A connection with a transaction, committed on leaving unless there was a failure."""
        async with self._lent(self._transactional) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose every statement is a transaction of its own."""
        async with self._lent(self._autocommit) as connection:
            yield connection

    @asynccontextmanager
    async def _lent(self, kind: "_Kind") -> AsyncIterator[AsyncConnection]:
        """One that saw a failure is not kept."""
        connection = kind.spares.pop() if kind.spares else await kind.engine.connect()
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                await self.close()  # the server is gone, and the others are as dead
            await _close(connection)
            raise
        if len(kind.spares) < self._spares:
            kind.spares.append(connection)
        else:
            await _close(connection)

    async def close(self) -> None:
        """Give the spares back to the engine."""
        for kind in (self._transactional, self._autocommit):
            spares, kind.spares = kind.spares, []
            for connection in spares:
                await _close(connection)


@dataclass(slots=True)
class _Kind:
    engine: AsyncEngine
    spares: list[AsyncConnection] = field(default_factory=list)


async def _close(connection: AsyncConnection) -> None:
    await asyncio.shield(asyncio.ensure_future(connection.close()))  # a cancellation must not cost the pool a place
