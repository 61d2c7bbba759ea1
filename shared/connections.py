"""Database connections kept open between two uses.

Taking one from the engine's pool and giving it back costs more than a short statement. What a statement does is not
known here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Connections:
    """Lends connections of an engine, and keeps up to `spares` that nobody uses out of its pool."""

    def __init__(self, engine: AsyncEngine, spares: int) -> None:
        self._engine = engine
        self._spares_max = spares
        self._spares: list[AsyncConnection] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[AsyncConnection]:
        """To be left without an open transaction. One that saw a failure is not kept."""
        connection = self._spares.pop() if self._spares else await self._engine.connect()
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                await self.close()  # the server is gone, and the others are as dead
            await _close(connection)
            raise
        if len(self._spares) < self._spares_max:
            self._spares.append(connection)
        else:
            await _close(connection)

    async def close(self) -> None:
        """Give the spares back to the engine."""
        spares, self._spares = self._spares, []
        for connection in spares:
            await _close(connection)


async def _close(connection: AsyncConnection) -> None:
    await asyncio.shield(asyncio.ensure_future(connection.close()))  # a cancellation must not cost the pool a place
