"""Models as strangers write them, through the service and through `pinion serve`: what Cog would answer, from both.

The rows stand in tests/cog_models, one file for each side of a model.
"""

import asyncio
from pathlib import Path

import httpx
import pytest

from shared.contract import VersionStatus
from shared.settings import Settings
from shared.storage import version_folder
from shared.tables import Version
from tests.cog_models import TABLES
from tests.cog_models.doors import Service, check, check_server, serving_here
from tests.cog_models.row import Row
from tests.database_fixtures import Rows
from tests.host import Host
from worker.build import Builder
from worker.events import SetupFailed

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for table in TABLES for row in table.ROWS])


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
        await check(row, Service(host, rows, client, version_id))
    else:
        assert row.setup_error in (version.error or await _setup_error(host, version_id))


@every_row
async def test_the_server_of_one_directory_answers(tmp_path: Path, row: Row) -> None:
    await asyncio.to_thread(row.write, tmp_path / "model")
    async with serving_here(tmp_path) as server:
        await check_server(row, server)


async def _setup_error(host: Host, version_id: str) -> str:
    with pytest.raises(SetupFailed) as failure:
        await host.residency.resident(version_id).ready()
    return failure.value.message
