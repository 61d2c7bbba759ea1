"""Database connections kept open between two uses.

Taking one from the engine's pool and giving it back costs more than a short statement. One that has died meanwhile is
lent to nobody. What a statement does is not known here.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

IDLE_SECONDS = 240.0
"""Routers between us and a server may forget a silent connection without a word; many do after five minutes."""
_UNUSED_SINCE = "unused since"
Turn = AbstractAsyncContextManager[None]
_ALWAYS: Turn = nullcontext()


class Connections:
    """Lends connections of an engine, and keeps a few of either kind that nobody uses out of its pool."""

    def __init__(self, engine: AsyncEngine, spares: int) -> None:
        self._transactional = _Kind(engine)
        self._autocommit = _Kind(engine.execution_options(isolation_level="AUTOCOMMIT"))
        self._spares = spares
        self._closing: set[asyncio.Task[None]] = set()
        event.listen(engine.sync_engine, "checkin", _note_the_time)
        event.listen(engine.sync_engine, "checkout", _refuse_what_is_dead)

    @asynccontextmanager
    async def transactional(self, turn: Turn = _ALWAYS) -> AsyncIterator[AsyncConnection]:
        """A connection with a transaction, committed on leaving unless there was a failure; begun in its turn."""
        async with self._lent(self._transactional) as connection, turn, connection.begin():
            yield connection

    @asynccontextmanager
    async def autocommit(self, turn: Turn = _ALWAYS) -> AsyncIterator[AsyncConnection]:
        """A connection whose every statement is a transaction of its own."""
        async with self._lent(self._autocommit) as connection, turn:
            yield connection

    @asynccontextmanager
    async def _lent(self, kind: "_Kind") -> AsyncIterator[AsyncConnection]:
        """One that saw a failure is not kept."""
        connection = await self._living_spare(kind) or await self._open(kind)
        try:
            yield connection
        except BaseException as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                await self.close()  # the server is gone, and the others are as dead
            await self._give_back(connection)
            raise
        if len(kind.spares) < self._spares:
            connection.info[_UNUSED_SINCE] = monotonic()
            kind.spares.append(connection)
        else:
            await self._give_back(connection)

    async def close(self) -> None:
        """Give the spares back to the engine, and wait for what is on its way there."""
        unused: list[AsyncConnection] = []
        for kind in (self._transactional, self._autocommit):
            spares, kind.spares = kind.spares, []
            unused += spares
        await asyncio.gather(*map(self._give_back, unused))
        await asyncio.gather(*self._closing)

    async def _living_spare(self, kind: "_Kind") -> AsyncConnection | None:
        while kind.spares:
            connection = kind.spares.pop()
            below = connection.sync_connection  # the asynchronous way to the driver would cost a switch of greenlets
            if below and _is_alive(below.connection.driver_connection, below.info):
                return connection
            await self._put_away(_discard(connection))
        return None

    async def _open(self, kind: "_Kind") -> AsyncConnection:
        """From the engine. Cut short while it is made ready for use, a connection would be lost to the pool."""
        opening = asyncio.create_task(_connect(kind.engine))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._closed_later(_close_when_open(opening))
            raise

    async def _give_back(self, connection: AsyncConnection) -> None:
        """To the engine."""
        await self._put_away(connection.close())

    async def _put_away(self, closing: Coroutine[Any, Any, None]) -> None:
        """A cancellation goes on without waiting, and costs the pool no place."""
        await asyncio.shield(self._closed_later(closing))

    def _closed_later(self, closing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


@dataclass(slots=True)
class _Kind:
    engine: AsyncEngine
    spares: list[AsyncConnection] = field(default_factory=list)


async def _connect(engine: AsyncEngine) -> AsyncConnection:
    return await engine.connect()


async def _discard(connection: AsyncConnection) -> None:
    """The engine opens another one in its place."""
    await connection.invalidate()
    await connection.close()


async def _close_when_open(opening: "asyncio.Task[AsyncConnection]") -> None:
    with suppress(SQLAlchemyError, OSError):
        await (await opening).close()


def _is_alive(driver_connection: Any, info: dict[Any, Any]) -> bool:
    """As far as can be told without asking the server, which would cost a round trip each time."""
    is_closed = getattr(driver_connection, "is_closed", None)  # SQLite's have no server that could close them
    return not (is_closed and is_closed()) and monotonic() - info.get(_UNUSED_SINCE, monotonic()) < IDLE_SECONDS


def _note_the_time(dbapi_connection: object, record: Any) -> None:
    record.info[_UNUSED_SINCE] = monotonic()


def _refuse_what_is_dead(dbapi_connection: object, record: Any, proxy: object) -> None:
    if not _is_alive(record.driver_connection, record.info):
        raise DisconnectionError  # the pool opens another one in its place
