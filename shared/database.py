"""The engine, and the one way to write: a transaction that sends to Redis only after its commit.

No query and no rule stands here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
import msgspec
import structlog
from redis.exceptions import RedisError
from sqlalchemy import BindParameter, CursorResult, Executable, Function, SQLColumnExpression, event, literal
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import Float, Integer

from shared import crash
from shared.connections import Connections, Turn
from shared.queue import RedisPool, Sendable, open_redis
from shared.settings import Settings
from shared.tables import Timestamp
from shared.vault import Vault, open_vault
from shared.write_turn import WriteTurn

_SEND_SECONDS = 2.0
"""A Redis that hangs must not hold up whoever has just committed."""
_SILENT_SECONDS = 1.0
"""Nor everybody who commits next: nothing is sent to it for so long."""
_log = structlog.get_logger()


class Patience(NamedTuple):
    """For how many seconds a connection is waited for, and an answer to a statement; None: for ever."""

    checkout: float
    statement: float | None


CLIENTS_WAIT = Patience(checkout=2.0, statement=5.0)
JOBS_WAIT = Patience(checkout=30.0, statement=10.0)
MIGRATIONS_WAIT = Patience(checkout=30.0, statement=None)
_WRITES_WAIT_SECONDS = 60.0
"""Of SQLite, for others that write, where there is no limit to a statement."""


class clock(Function[datetime]):
    """The database's own time, moved by some seconds: hosts may disagree, the database does not."""

    name = "clock"
    inherit_cache = True

    def __init__(self, seconds: float | BindParameter[Any] = 0.0) -> None:
        shift = seconds if isinstance(seconds, BindParameter) else literal(seconds, Float)
        super().__init__("clock", shift, type_=Timestamp())


@compiles(clock, "postgresql")
def _clock_postgresql(element: clock, compiler: SQLCompiler, **options: Any) -> str:
    return f"clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)})"


@compiles(clock, "sqlite")
def _clock_sqlite(element: clock, compiler: SQLCompiler, **options: Any) -> str:
    # Six digits, as SQLAlchemy writes moments: SQLite compares them as text.
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', ({seconds}) || ' seconds') || '000')"


class octets(Function[int]):
    """How many bytes a text or JSON value takes."""

    name = "octets"
    inherit_cache = True

    def __init__(self, column: SQLColumnExpression[Any]) -> None:
        super().__init__("octets", column, type_=Integer())


@compiles(octets, "postgresql")
def _octets_postgresql(element: octets, compiler: SQLCompiler, **options: Any) -> str:
    return f"octet_length(CAST({compiler.process(element.clauses, **options)} AS TEXT))"


class packed_octets(octets):
    """How many it takes where it lies, which is known without reading it. On SQLite it is the same."""

    name = "packed_octets"
    inherit_cache = True


@compiles(packed_octets, "postgresql")
def _packed_octets_postgresql(element: octets, compiler: SQLCompiler, **options: Any) -> str:
    return f"pg_column_size({compiler.process(element.clauses, **options)})"


@compiles(octets, "sqlite")
def _octets_sqlite(element: octets, compiler: SQLCompiler, **options: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"


class Transaction:
    """Statements that hold together, and what Redis is to hear once they do."""

    def __init__(self, connection: AsyncConnection, database: "Database") -> None:
        self._connection = connection
        self._database = database
        self.joins_writes = database.joins_writes
        self.address = database.address
        self.outbox: list[Sendable] = []

    @property
    def vault(self) -> Vault:
        """For what is secret in rows."""
        return self._database.vault

    async def execute(self, statement: Executable, rows: Any = None) -> CursorResult[Any]:
        return await self._connection.execute(statement, rows)


class Database:
    """One per process. `redis` may be down: what could not be sent is repaired by the reconciler.

    Without `waits_for_disk` a write of the last second may be undone, as a whole, by a crash of the database's host.
    """

    def __init__(
        self, settings: Settings, redis: RedisPool, patience: Patience = CLIENTS_WAIT, waits_for_disk: bool = True
    ) -> None:
        self._engine = open_engine(settings, patience, waits_for_disk)
        self.joins_writes = self._engine.dialect.name == "postgresql"
        """Whether one statement may hold several writes."""
        self._connections = Connections(self._engine, settings.database_pool // 5)
        self.address = settings.address
        self._settings = settings
        file = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        self._turn = WriteTurn(Path(file)) if file else None
        self._patience = patience
        self._silent_until = 0.0
        self.redis = redis

    @cached_property
    def vault(self) -> Vault:
        """For what is secret in rows; raises SettingsError."""
        return open_vault(self._settings)

    @asynccontextmanager
    async def transaction(self, *, can_wait: bool = False) -> AsyncIterator[Transaction]:
        """Commit on leaving, then send what was collected; on an exception neither happens.

        What can wait lets others pass that write by this object where only one can write.
        """
        async with self._writing(can_wait) as turn, self._connections.transactional(turn) as connection:
            transaction = Transaction(connection, self)
            yield transaction
        await self.send(transaction.outbox)

    @asynccontextmanager
    async def single_statement(self, *, can_wait: bool = False) -> AsyncIterator[Transaction]:
        """A transaction of exactly one statement: atomic by itself, so BEGIN and COMMIT need not be sent."""
        async with self._writing(can_wait) as turn, self._connections.autocommit(turn) as connection:
            transaction = Transaction(connection, self)
            yield transaction
        await self.send(transaction.outbox)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for SELECTs, which need no transaction around them."""
        async with self._connections.autocommit() as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self, can_wait: bool) -> AsyncIterator[Turn]:
        """The turn among processes, which is to be taken once there is a connection."""
        if self._turn is None:
            yield nullcontext()
            return
        waiting = asyncio.timeout(self._patience.checkout)
        try:
            async with waiting, self._turn.in_process(can_wait=can_wait):
                waiting.reschedule(None)
                yield self._turn.among_processes()
        except TimeoutError as error:
            if not waiting.expired():
                raise
            raise PoolTimeoutError("another write took too long") from error

    async def send(self, outbox: list[Sendable]) -> bool:
        """Everything in one round trip; a failure costs time, never a prediction. Whether Redis has taken it."""
        if not outbox:
            return True
        if self._silent_until > monotonic():
            return False
        crash.at("before_send")
        pipe = self.redis.pipeline(transaction=False)
        for item in outbox:
            item.write(pipe)
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                answers = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("redis unreachable, left to the reconciler", error=str(error))
            if isinstance(error, TimeoutError):
                self._silent_until = monotonic() + _SILENT_SECONDS
            return False
        return not any(isinstance(answer, RedisError) for answer in answers)

    async def close(self) -> None:
        await self._connections.close()
        await self._engine.dispose()
        if self._turn:
            self._turn.close()


@asynccontextmanager
async def open_database(settings: Settings, patience: Patience = JOBS_WAIT) -> AsyncIterator[Database]:
    """The database alone, for a command that soon ends: nothing it does is told to Redis."""
    database = Database(settings, open_redis(settings.redis_url), patience)
    try:
        yield database
    finally:
        await database.redis.aclose()
        await database.close()


def open_engine(settings: Settings, patience: Patience = CLIENTS_WAIT, waits_for_disk: bool = True) -> AsyncEngine:
    """An engine with the habits both databases need."""
    options: dict[str, Any] = {
        "json_serializer": lambda value: msgspec.json.encode(value).decode(),
        "json_deserializer": msgspec.json.decode,
        "pool_size": settings.database_pool,
        "max_overflow": 0,
        "pool_timeout": patience.checkout,
        "hide_parameters": True,  # inputs and digests must not get into a log by way of an error
    }
    if settings.database_url.startswith("sqlite"):
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_async_engine(settings.database_url, **options)
        wait = int((patience.statement or _WRITES_WAIT_SECONDS) * 1000)
        event.listen(engine.sync_engine, "connect", partial(_prepare_sqlite, wait))
        event.listen(engine.sync_engine, "begin", _begin_immediate)
        return engine
    # The driver reads the address itself: it knows all that a provider may write into one, as `sslmode`.
    wishes = {} if waits_for_disk else {"synchronous_commit": "off"}
    address = settings.database_url.replace("+asyncpg", "", 1)
    connect = partial(asyncpg.connect, address, timeout=5, command_timeout=patience.statement, server_settings=wishes)
    return create_async_engine(settings.database_url, async_creator=connect, **options)


def _prepare_sqlite(wait_milliseconds: int, connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver must not decide when a transaction begins
    cursor = connection.cursor()
    wait = f"busy_timeout={wait_milliseconds}"
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", wait, "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Any) -> None:
    # A deferred transaction reads first and then fails, or silently overwrites, when another process wrote meanwhile.
    # AUTOCOMMIT connections pass here too; they must stay without a transaction.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
