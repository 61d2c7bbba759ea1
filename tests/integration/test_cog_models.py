"""Models as strangers write them, through the service and through `pinion serve`: what Cog would answer, from both.

The rows stand in tests/cog_models, one file for each side of a model. Both doors are opened in this process; the
models run in processes of their own, as ever.
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
import pytest

from serving.app import App
from serving.files import Files
from serving.model import Health, Model
from serving.options import Options
from serving.outside import Outside
from serving.runs import Runs
from serving.webhooks import Webhooks
from shared.contract import VersionStatus
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Version
from shared.tasks import end
from tests.cog_models import endings, files, inputs, outputs, shapes
from tests.cog_models.row import Answer, Row
from tests.database_fixtures import Rows, until
from tests.host import Host
from worker.build import Builder
from worker.events import SetupFailed

TABLES = (inputs, outputs, files, shapes, endings)
every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for table in TABLES for row in table.ROWS])


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


@every_row
@pytest.mark.parametrize("servers", ["embedded"], indirect=True)
async def test_the_service_answers(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient, row: Row
) -> None:
    version_id = await rows.add_version(status=VersionStatus.BUILDING, openapi_schema=None)
    await asyncio.to_thread(row.write, version_folder(settings.home, version_id))
    await Builder(host.database, host.residency).build(host.queue, version_id, 1)
    version = await rows.one(Version, Version.id == version_id)
    if row.setup_error is None:
        assert version.error is None
        await _check(row, Service(host, rows, client, version_id))
    else:
        assert row.setup_error in (version.error or await _setup_error(host, version_id))


@every_row
async def test_the_server_of_one_directory_answers(tmp_path: Path, row: Row) -> None:
    await asyncio.to_thread(row.write, tmp_path / "model")
    async with _serving(tmp_path) as (model, client):
        await until(lambda: model.health in (Health.READY, Health.SETUP_FAILED))
        if row.setup_error is None:
            assert model.health == Health.READY, model.setup
            await _check(row, Server(model, client))
        else:
            assert row.setup_error in model.setup["logs"]


async def _setup_error(host: Host, version_id: str) -> str:
    with pytest.raises(SetupFailed) as failure:
        await host.residency.resident(version_id).ready()
    return failure.value.message


async def _check(row: Row, door: Door) -> None:
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


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[tuple[Model, httpx.AsyncClient]]:
    options = Options(
        folder=folder / "model",
        home=folder / "home",
        host="",
        port=0,
        python=None,
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
    runs = Runs(model, stored, Webhooks(outside, options.webhook_interval, ""), options.history_events)
    keeper = asyncio.create_task(model.keep())
    try:
        transport = httpx.ASGITransport(App(model, runs, lambda: None))
        async with httpx.AsyncClient(transport=transport, base_url="http://model.test", timeout=20) as client:
            yield model, client
    finally:
        await end(keeper)
        await model.stop()
        await outside.close()
