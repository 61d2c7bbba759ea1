"""Endpoints of an account: receivers that hear of the end of everything it runs, besides a prediction's own.

What they are owed is written in `owed`. Only an owner sees an endpoint.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Select, and_, delete, func, insert, select, update

from shared.contract import Status
from shared.database import Database, clock
from shared.errors import Conflict
from shared.ids import new_id
from shared.queue import DeliverJob
from shared.rendering import moment
from shared.tables import WebhookEndpoint, WebhookMessage
from shared.webhooks import host_of, message_id

TEST_EVENT = "test"
_MOST = 20
_BY_HAND = "Disabled by its account."
_DELETED = "Its endpoint was deleted."


def shown(row: Row[Any]) -> dict[str, Any]:
    """An endpoint as its owner sees it."""
    return {
        "id": row.id,
        "url": row.url,
        "disabled": row.disabled_reason is not None,
        "disabled_reason": row.disabled_reason,
        "created_at": moment(row.created_at),
    }


def owned(account_id: str) -> Select[Any]:
    """Those of an account."""
    return select(WebhookEndpoint.__table__).where(WebhookEndpoint.account_id == account_id)


async def find(database: Database, account_id: str, endpoint_id: str) -> Row[Any] | None:
    """One endpoint of an account."""
    async with database.reading() as connection:
        query = owned(account_id).where(WebhookEndpoint.id == endpoint_id)
        found: Row[Any] | None = (await connection.execute(query)).one_or_none()
    return found


async def create(database: Database, account_id: str, url: str) -> Row[Any]:
    """A new one, for an address that was checked. It hears of what is created from now on; raises Conflict."""
    table = WebhookEndpoint.__table__
    counted = select(func.count()).select_from(table).where(WebhookEndpoint.account_id == account_id)
    async with database.transaction() as transaction:
        if (await transaction.execute(counted)).scalar_one() >= _MOST:
            raise Conflict(f"There are {_MOST} endpoints already. Delete one that is not needed any more.")
        values = {"id": new_id(), "account_id": account_id, "url": url, "created_at": clock()}
        return (await transaction.execute(insert(WebhookEndpoint).values(**values).returning(table))).one()


async def disable(database: Database, account_id: str, endpoint_id: str, *, is_disabled: bool) -> Row[Any] | None:
    """Owe it nothing more, or again; None if there is no such endpoint. What it is owed already is sent."""
    is_meant = and_(WebhookEndpoint.account_id == account_id, WebhookEndpoint.id == endpoint_id)
    change = update(WebhookEndpoint).where(is_meant).values(disabled_reason=_BY_HAND if is_disabled else None)
    async with database.single_statement() as transaction:
        changed = await transaction.execute(change.returning(WebhookEndpoint.__table__))
        return changed.one_or_none()


async def remove(database: Database, account_id: str, endpoint_id: str) -> bool:
    """Delete it and give up what it is still owed; False if there is no such endpoint."""
    is_meant = and_(WebhookEndpoint.account_id == account_id, WebhookEndpoint.id == endpoint_id)
    is_open = WebhookMessage.state.in_(("pending", "delivering"))
    is_for_it = and_(WebhookMessage.account_id == account_id, WebhookMessage.endpoint_id == endpoint_id)
    async with database.transaction() as transaction:
        if not (await transaction.execute(delete(WebhookEndpoint).where(is_meant))).rowcount:
            return False
        given_up = update(WebhookMessage).where(is_open, is_for_it).values(state="dead", reason=_DELETED)
        await transaction.execute(given_up)
    return True


async def owe_test(database: Database, endpoint: Row[Any]) -> Row[Any]:
    """Owe it a message that looks like the end of a prediction; it has one attempt."""
    table = WebhookMessage.__table__
    prediction_id = new_id()
    values: dict[str, Any] = {
        "id": message_id(prediction_id, TEST_EVENT, 1),
        "endpoint_id": endpoint.id,
        "account_id": endpoint.account_id,
        "event": TEST_EVENT,
        "lane": endpoint.id,
        "sequence": 1,
        "url": endpoint.url,
        "host": host_of(endpoint.url),
        "body": msgspec.json.encode(_example(prediction_id)),
        "state": "pending",
        "attempts": 0,
        "next_attempt_at": clock(),
        "created_at": clock(),
    }
    async with database.transaction() as transaction:
        row = (await transaction.execute(insert(WebhookMessage).values(**values).returning(table))).one()
        transaction.outbox.append(DeliverJob(endpoint.id, row.id))
    return row


def _example(prediction_id: str) -> dict[str, Any]:
    """The shape of a prediction that never was."""
    now = moment(datetime.now(UTC))
    return {
        "id": prediction_id,
        "model": "pinion/test",
        "version": "test",
        "input": {},
        "output": "This is a test of your webhook endpoint.",
        "logs": "",
        "error": None,
        "status": Status.SUCCEEDED,
        "source": "api",
        "data_removed": False,
        "metrics": {},
        "urls": {},
        "created_at": now,
        "started_at": now,
        "completed_at": now,
    }
