"""What the database and queue tests build on: a private Valkey, fresh databases, rows, and waiting for conditions.

Nothing is asserted about the product here.
"""

import asyncio
import base64
import inspect
import os
import random
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Row, delete, insert, make_url, select, update

from cli import process_tree, valkey
from shared import deployments, lifecycle, tokens
from shared.contract import VersionStatus, WebhookEvent
from shared.database import Database, clock
from shared.deployments import Wish
from shared.ids import new_id
from shared.lifecycle import Request
from shared.queue import RedisPool, open_listening_redis, open_redis
from shared.settings import Settings
from shared.tables import Account, Model, Prediction, Version, WebhookMessage
from shared.webhooks import new_secret
from tests.servers import POSTGRES, fresh_postgres, fresh_redis

PROJECT = Path(__file__).resolve().parent.parent
BACKENDS = ("embedded", "servers")
TOKEN = "r8_" + "t" * 37
Command = Callable[..., Awaitable["subprocess.CompletedProcess[str]"]]
"""`pinion …` in a process of its own."""
ENCRYPTION_KEY = base64.b64encode(b"k" * 32).decode()
"""Of all homes alike: tests share a database."""
LOOPBACK = (ip_network("127.0.0.0/8"),)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERY_EVENT = tuple(WebhookEvent)
SCHEMA: dict[str, Any] = {
    "openapi": "3.0.2",
    "components": {
        "schemas": {
            "Input": {"type": "object", "properties": {"text": {"type": "string"}}},
            "Output": {"type": "string"},
        }
    },
}
_SCHEMAS = SCHEMA["components"]["schemas"]
TRAINABLE = SCHEMA | {"components": {"schemas": _SCHEMAS | {"TrainingInput": _SCHEMAS["Input"]}}}


@dataclass
class PrivateValkey:
    """The embedded Valkey as `pinion up` runs it; may be killed and started again on the same socket."""

    folder: Path
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return valkey.choose_socket(self.folder)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        service = valkey.service(self.folder, self.socket, os.environ)
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            service.command,
            env=service.environment,
            stdout=quiet,
            stderr=quiet,
            preexec_fn=process_tree._bind_to_us(),  # a test run that is killed leaves no server behind
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, "the private Valkey ended"
            assert time.monotonic() < deadline, "the private Valkey does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """Kill -9: nothing is written down first."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and commands inside, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False


@contextmanager
def private_valkey(folder: Path) -> Iterator[PrivateValkey]:
    """A running Valkey of its own, ended afterwards."""
    server = PrivateValkey(folder)
    server.start()
    try:
        yield server
    finally:
        if server._process:
            server.kill()


@dataclass(frozen=True)
class Backend:
    """A migrated database and a Redis, for as many tests as like to share them."""

    name: str
    home: Path
    database_url: str
    redis_url: str

    def settings(self, **changes: Any) -> Settings:
        usual = {"home": self.home, "database_url": self.database_url, "redis_url": self.redis_url}
        usual["encryption_key"] = ENCRYPTION_KEY
        return Settings(**{**usual, "public_url": "http://pinion.test", **changes})


@contextmanager
def backend(name: str, folder: Path) -> Iterator[Backend]:
    """One of BACKENDS, migrated; skips with the reason where its servers do not answer."""
    with ExitStack() as stack:
        if name == "servers":
            database_url = stack.enter_context(fresh_postgres(f"pinion_integration_{os.getpid()}"))
            redis_url = stack.enter_context(fresh_redis())
        else:
            database_url = f"sqlite:///{folder / 'pinion.db'}"
            redis_url = stack.enter_context(private_valkey(folder)).url
        alembic("upgrade", database_url, folder, "head")
        yield Backend(name, folder, database_url, redis_url)


@asynccontextmanager
async def outage(servers: Backend) -> AsyncIterator[None]:
    """Nothing can be written inside: Postgres refuses every connection, SQLite's file is locked by somebody else."""
    if servers.name == "embedded":
        file = make_url(servers.database_url).database or ""
        with closing(sqlite3.connect(file, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # whoever is writing needs this loop to commit
            yield
        return
    name = make_url(servers.database_url).database
    other = await asyncpg.connect(POSTGRES)
    try:
        await other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
    finally:
        await other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        await other.close()


def alembic(verb: str, database_url: str, home: Path, *arguments: str) -> None:
    """`alembic verb …` on a database; outside of any event loop."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DATABASE_URL", database_url)
        environment.setenv("PINION_HOME", str(home))
        getattr(command, verb)(Config(PROJECT / "alembic.ini"), *arguments)


@asynccontextmanager
async def redis_at(url: str, *, is_listening: bool = False, **options: Any) -> AsyncIterator[RedisPool]:
    """A pool as the service opens it, and really closed."""
    pool = (open_listening_redis if is_listening else open_redis)(url, **options)
    try:
        yield pool
    finally:
        await pool.aclose(close_connection_pool=True)


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What `condition`, plain or async, answers once that is true; fails the test when it never is."""
    began = time.monotonic()
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        waited = time.monotonic() - began
        assert waited < seconds, f"waited in vain for {seconds:g} s, at last for {found!r}"
        await asyncio.sleep(min(max(0.005, waited / 5), 0.05))  # looking takes from what is waited for


@dataclass
class Rows:
    """An account with a model and its ready versions, and short ways to read and write rows."""

    database: Database
    account_id: str = field(default_factory=new_id)
    model_id: str = field(default_factory=new_id)
    secret: str = field(default_factory=new_secret)
    username: str = "pinion"
    version_id: str = ""
    """A version whose output is one value; see `add_version` for others."""

    @classmethod
    async def made(cls, database: Database, username: str = "pinion") -> "Rows":
        rows = cls(database, username=username)
        names = {"type": "user", "username": username, "name": username.title()}
        account = {"id": rows.account_id, "webhook_secret": rows.secret, **names}
        model = {"id": rows.model_id, "account_id": rows.account_id, "owner": username, "name": "echo"}
        async with database.transaction() as transaction:
            await transaction.execute(insert(Account).values(**account, created_at=clock()))
            await transaction.execute(insert(Model).values(**model, visibility="public", created_at=clock()))
        rows.version_id = await rows.add_version()
        await rows.change(Model, Model.id == rows.model_id, latest_version_id=rows.version_id)
        return rows

    async def add_version(self, **changes: Any) -> str:
        values = {
            "id": sha256(new_id().encode()).hexdigest(),
            "model_id": self.model_id,
            "status": VersionStatus.READY,
            "openapi_schema": SCHEMA,
            "is_iterator": False,
            "logs": "",
            "delivery": 1,
            "queued_at": clock(),
            "created_at": clock(),
        } | changes
        async with self.database.transaction() as transaction:
            await transaction.execute(insert(Version).values(**values))
        return str(values["id"])

    async def deployed(self, name: str, **changes: Any) -> Row[Any]:
        """A deployment of its version."""
        usual = {"model": f"{self.username}/echo", "version_id": self.version_id, "hardware": "cpu"}
        wish = Wish(**{**usual, "min_instances": 0, "max_instances": 1, **changes})
        account = await self.one(Account, Account.id == self.account_id)
        return await deployments.create(self.database, account, name, wish)

    async def add_token(self, token: str = TOKEN, **changes: Any) -> None:
        """A token for everything, or for what `changes` say."""
        await tokens.store(self.database, token, self.account_id, "test", **changes)

    def wanted(self, **changes: Any) -> Request:
        """A request for a prediction, with all that is not said."""
        usual = {
            "account_id": self.account_id,
            "model": f"{self.username}/echo",
            "version_id": self.version_id,
            "input": {"text": "hello"},
            "streams": False,
        }
        return Request(**{**usual, **changes})

    async def waiting(self, **changes: Any) -> Row[Any]:
        """A prediction just accepted."""
        async with self.database.transaction() as transaction:
            return await lifecycle.create(transaction, self.wanted(**changes))

    async def running(self, worker_id: str = "worker", **changes: Any) -> Row[Any]:
        """A prediction some worker has claimed."""
        return await self.claimed(await self.waiting(**changes), worker_id)

    async def claimed(self, row: Row[Any], worker_id: str = "worker") -> Row[Any]:
        async with self.database.transaction() as transaction:
            claimed = await lifecycle.claim(transaction, [(row.id, row.delivery)], worker_id)
            await lifecycle.tell_start(transaction, claimed[row.id])
        return claimed[row.id]

    async def redelivered(self, row: Row[Any]) -> Row[Any]:
        async with self.database.transaction() as transaction:
            fresh = await lifecycle.redeliver(transaction, row)
        assert fresh is not None
        return fresh

    async def ended(self, **changes: Any) -> Row[Any]:
        """A prediction that was canceled before anybody began, so that it owes its `completed` message."""
        row = await self.waiting(**changes)
        async with self.database.transaction() as transaction:
            await lifecycle.cancel(transaction, row.id)
        return await self.prediction(row.id)

    async def prediction(self, prediction_id: str) -> Row[Any]:
        return await self.one(Prediction, Prediction.id == prediction_id)

    async def messages(self, prediction_id: str) -> list[Row[Any]]:
        """What a prediction owes its receiver, in the order of delivery."""
        query = select(WebhookMessage.__table__).where(WebhookMessage.prediction_id == prediction_id)
        async with self.database.reading() as connection:
            return list((await connection.execute(query.order_by(WebhookMessage.sequence))).all())

    async def given_up(self, url: str, number: int) -> list[str]:
        """So many messages that were given up, each in a lane of its own; the oldest first, from LONG_AGO on."""
        row = await self.ended(webhook=url, webhook_events=(WebhookEvent.COMPLETED,))
        [told] = await self.messages(row.id)
        lost = {**told._mapping, "state": "dead", "attempts": 12}
        ids = [f"msg_{index:026}" for index in range(number)]
        moments = [LONG_AGO + timedelta(seconds=index) for index in range(number)]
        many = [{**lost, "id": name, "lane": name, "created_at": at} for name, at in zip(ids, moments, strict=True)]
        async with self.database.transaction() as transaction:
            await transaction.execute(delete(WebhookMessage).where(WebhookMessage.id == told.id))
            await transaction.execute(insert(WebhookMessage), random.sample(many, number))
        return ids

    async def one(self, table: Any, condition: Any) -> Row[Any]:
        async with self.database.reading() as connection:
            return (await connection.execute(select(table.__table__).where(condition))).one()

    async def change(self, table: Any, condition: Any, **values: Any) -> None:
        """Write past every rule, as time or an accident would."""
        async with self.database.transaction() as transaction:
            await transaction.execute(update(table).where(condition).values(**values))
