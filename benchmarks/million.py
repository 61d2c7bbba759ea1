"""A million predictions in the database, as years of use leave them; written to the tables directly.

Of five accounts one has most and one little more than a page, spread over the same time.
"""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, text

from shared import accounts, tokens
from shared.contract import AccountType, Status
from shared.database import Database, open_database
from shared.ids import new_id
from shared.settings import Settings
from shared.tables import Model, Prediction, Table, Version

TOKENS = {"many": "r8_benchmark_many", "few": "r8_benchmark_few"}
VERSION = "b" * 64
_MODEL = "many/speaks"
_SPACING = timedelta(seconds=60)
_BATCH = 10_000
_FEW = 150
_OTHERS = ("one", "two", "three")
_SCHEMA = {
    "openapi": "3.0.2",
    "info": {"title": "Cog", "version": "0.1.0"},
    "paths": {},
    "components": {
        "schemas": {
            "Input": {
                "type": "object",
                "title": "Input",
                "required": ["text"],
                "properties": {"text": {"type": "string"}},
            },
            "Output": {"type": "array", "items": {"type": "string"}, "x-cog-array-type": "iterator"},
        }
    },
}
_PREDICTIONS = Table.metadata.tables[Prediction.__tablename__]


def fill(settings: Settings, count: int) -> None:
    """Takes a database that has tables and no predictions."""
    asyncio.run(_fill(settings, count))


async def _fill(settings: Settings, count: int) -> None:
    async with open_database(settings) as database:
        async with database.reading() as connection:
            if (await connection.execute(select(func.count()).select_from(Prediction))).scalar_one():
                raise SystemExit("There are predictions in this database: give an empty one in DATABASE_URL.")
        owners = {name: await _account(database, name) for name in (*TOKENS, *_OTHERS)}
        await _write_version(database, owners["many"])
        for first in range(0, count, _BATCH):
            async with database.transaction() as transaction:
                await transaction.execute(insert(_PREDICTIONS), list(_rows(owners, first, count)))
        async with database.transaction() as transaction:
            await transaction.execute(text("ANALYZE"))


async def _account(database: Database, name: str) -> str:
    account_id = await accounts.create(database, name, AccountType.USER, name)
    if name in TOKENS:
        await tokens.store(database, TOKENS[name], account_id, name)
    return account_id


async def _write_version(database: Database, account_id: str) -> None:
    owner, _, name = _MODEL.partition("/")
    model = {"id": new_id(), "account_id": account_id, "owner": owner, "name": name, "visibility": "public"}
    now = datetime.now(UTC)
    version = {"id": VERSION, "model_id": model["id"], "status": "ready", "openapi_schema": _SCHEMA}
    more = {"is_iterator": True, "logs": "", "delivery": 1, "queued_at": now, "created_at": now}
    async with database.transaction() as transaction:
        await transaction.execute(insert(Model).values(**model, latest_version_id=VERSION, created_at=now))
        await transaction.execute(insert(Version).values(**version, **more))


def _rows(owners: dict[str, str], first: int, count: int) -> Iterator[dict[str, Any]]:
    oldest = datetime.now(UTC) - _SPACING * count
    for number in range(first, min(first + _BATCH, count)):
        yield {**prediction(owners[_owner(number, count)], oldest + _SPACING * number), **_ENDED, "id": new_id()}


def _owner(number: int, count: int) -> str:
    if number % (count // _FEW) == 0:
        return "few"
    return "many" if number % 10 < 7 else _OTHERS[number % 10 - 7]


_ENDED = {
    "status": Status.SUCCEEDED,
    "output": ["four", " thousand", " two", " hundred", " seventeen"],
    "logs": "Using seed: 4217\nGenerating five tokens\n",
    "metrics": {"predict_time": 1.25, "output_token_count": 5},
}


def prediction(account_id: str, moment: datetime) -> dict[str, Any]:
    """A row that was claimed once and has no output yet."""
    return {
        "id": new_id(),
        "account_id": account_id,
        "model": _MODEL,
        "version_id": VERSION,
        "status": Status.PROCESSING,
        "input": {"text": "spell: 4217"},
        "output": None,
        "logs": "",
        "metrics": {},
        "source": "api",
        "webhook_events": [],
        "stream_token": new_id(),
        "delivery": 1,
        "attempt": 1,
        **dict.fromkeys(("queued_at", "created_at", "started_at", "completed_at"), moment),
    }
