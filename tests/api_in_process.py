"""The whole API in the process of the tests, without a server: nothing of it is left out but the network."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from api.app import create_app, wired
from shared.settings import Settings
from tests.database_fixtures import TOKEN

_idle_apps: dict[bool, list[FastAPI]] = {True: [], False: []}
"""By whether they limit rates. To prepare all routes anew takes longer than most tests."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole API, which runs in this process with everything its lifespan opens."""
    idle = _idle_apps[settings.rate_limits]
    app = idle.pop() if idle else create_app(settings)
    app.state.http_seconds.clear()
    async with wired(app, settings):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://client.test", headers=headers) as client:
            yield client
    idle.append(app)
