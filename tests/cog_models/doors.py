"""Both doors of a model, opened in this process, and how a row of the table is held against what comes out of one.

The models run in processes of their own, as ever.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from serving.app import App
from serving.files import Files
from serving.model import Health, Model
from serving.options import Options
from serving.outside import Outside
from serving.runs import Runs
from serving.training import Trainer
from serving.webhooks import Webhooks
from shared.tasks import end
from tests.cog_models.row import Answer, Row
from tests.database_fixtures import Rows, until
from tests.host import Host


class Door(Protocol):
    """One way to a model."""

    async def ask(self, given: dict[str, Any]) -> httpx.Response:
        """The prediction when it has ended, or the refusal."""

    async def read(self, address: str) -> str:
        """What is in an output file."""


@dataclass
class Service:
    """The service's API and its worker."""

    host: Host
    rows: Rows
    client: httpx.AsyncClient
    version_id: str

    async def ask(self, given: dict[str, Any]) -> httpx.Response:
        created = await self.client.post("/v1/predictions", json={"version": self.version_id, "input": given})
        if created.status_code != 201:
            return created
        await self.host.predict(self.version_id, created.json()["id"])
        return await self.client.get(f"/v1/predictions/{created.json()['id']}")

    async def read(self, address: str) -> str:
        return (await self.client.get(urlsplit(address).path)).text


@dataclass
class Server:
    """`pinion serve` of one directory."""

    model: Model
    client: httpx.AsyncClient

    async def ask(self, given: dict[str, Any]) -> httpx.Response:
        await until(lambda: self.model.health == Health.READY)  # it may have died of the prediction before
        return await self.client.post("/predictions", json={"input": given})

    async def read(self, address: str) -> str:
        return base64.b64decode(address.partition(",")[2]).decode()


@asynccontextmanager
async def serving_here(folder: Path, python: Path | None = None) -> AsyncIterator[Server]:
    """The one in `folder/model`, which need not be ready yet."""
    options = Options(
        folder=folder / "model",
        home=folder / "home",
        host="",
        port=0,
        python=python,
        upload_url=None,
        ignores_sigterm=False,
        setup_limit=timedelta(seconds=20),
        webhook_interval=timedelta(seconds=0.5),
        webhook_token="",
        history_events=16,
        readiness_file=None,
    )
    outside = Outside()
    stored = Files(outside, None)
    model = Model(options, stored.download)
    webhooks = Webhooks(outside, options.webhook_interval, "")
    predictions = Runs(model, stored, webhooks, options.history_events)
    trainings = Runs(Trainer(model, options.setup_limit), stored, webhooks, options.history_events)
    keeper = asyncio.create_task(model.keep())
    try:
        transport = httpx.ASGITransport(App(model, predictions, trainings, lambda: None))
        async with httpx.AsyncClient(transport=transport, base_url="http://model.test", timeout=20) as client:
            yield Server(model, client)
    finally:
        await end(keeper)
        await model.stop()
        await outside.close()


async def check(row: Row, door: Door) -> None:
    for answer in row.answers:
        said = await door.ask(answer.given)
        if answer.refusal is not None:
            assert (said.status_code, answer.refusal in said.text) == (422, True), said.text
        else:
            await _check_ended(answer, said.json(), door)


async def _check_ended(answer: Answer, ended: dict[str, Any], door: Door) -> None:
    wanted = "succeeded" if answer.error is None else "failed"
    assert ended.get("status") == wanted, ended
    assert (answer.error or "") in (ended["error"] or ""), ended
    assert answer.logs in ended["logs"]
    output = await _with_contents(ended["output"], door)
    # A failed prediction that has yielded nothing has no output in the service, and an empty list on Cog's own server.
    assert repr(output or None if answer.error else output) == repr(answer.output)


async def _with_contents(value: Any, door: Door) -> Any:
    """An output with the texts that its files hold in place of their addresses."""
    if isinstance(value, dict):
        return {key: await _with_contents(each, door) for key, each in value.items()}
    if isinstance(value, list):
        return [await _with_contents(each, door) for each in value]
    return await door.read(value) if isinstance(value, str) and value.startswith(("http:", "data:")) else value


async def check_server(row: Row, server: Server) -> None:
    model = server.model
    await until(lambda: model.health in (Health.READY, Health.SETUP_FAILED))
    if row.setup_error is None:
        assert model.health == Health.READY, model.setup
        await check(row, server)
    else:
        assert row.setup_error in model.setup["logs"]
