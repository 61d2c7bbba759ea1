"""A webhook that leads back to the API that sent it creates nothing there."""

from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from shared.contract import WebhookEvent
from shared.tables import Prediction
from tests.database_fixtures import Rows
from tests.receiver import Receiver
from worker.deliver import Sender

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""


async def stored(rows: Rows) -> int:
    async with rows.database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(Prediction))).scalar_one())


@pytest.mark.parametrize("path", ["/v1/predictions", "/v1/models/pinion/echo/predictions"])
async def test_who_passes_a_webhook_on_to_us_is_refused_with_the_reason(
    client: httpx.AsyncClient, rows: Rows, sender: Sender, receiver: Receiver, path: str
) -> None:
    row = await rows.ended(webhook=receiver.url, webhook_events=(WebhookEvent.COMPLETED,))
    await sender.deliver(NO_QUEUE, row.id)
    [delivery] = receiver.deliveries
    passed_on = {name: value for name, value in delivery.headers.items() if name.startswith("webhook-")}
    body = {"input": {}} | ({} if "echo" in path else {"version": rows.version_id})
    refused = await client.post(path, json=body, headers=passed_on)
    assert refused.status_code == 422
    assert "- webhook-id: This is a webhook that Pinion has sent." in refused.json()["detail"]
    assert await stored(rows) == 1


async def test_webhooks_of_others_may_create_what_they_like(client: httpx.AsyncClient, rows: Rows) -> None:
    body = {"version": rows.version_id, "input": {}}
    created = await client.post("/v1/predictions", json=body, headers={"webhook-id": "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"})
    assert created.status_code == 201, created.text
