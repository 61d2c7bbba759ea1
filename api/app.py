"""The HTTP application: routes, error forms and what its lifespan opens and closes.

Speaks HTTP and decides nothing about running.
"""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from api import errors
from api.admission import Admission
from api.callers import Callers
from api.dependencies import Services
from api.document import DescribedApp
from api.lookups import Lookups
from api.open_streams import OpenStreams
from api.rate_limits import AllowanceHeaders, RateLimits
from api.request_ids import RequestIds
from api.routes import (
    account,
    collections,
    contents,
    deployments,
    docs,
    examples,
    files,
    hardware,
    health,
    metrics,
    models,
    predictions,
    search,
    stream,
    trainings,
    versions,
    webhook_endpoints,
    webhook_messages,
    webhook_secret,
    workers,
)
from api.traffic import Traffic, histogram
from shared import first_look
from shared.database import Database
from shared.live import Feed
from shared.queue import open_listening_redis, open_redis
from shared.settings import Settings

_REDIS_CONNECTIONS = 3
"""Beside the one that listens. Nothing waits on them, so that few carry many requests."""
_UNVERSIONED = re.compile(r"/(livez|readyz|metrics|openapi\.json|docs(/.+)?)")


class VersionPrefix:
    """Serves the API under /v1, / and /v1/v1: the official clients disagree on what a base URL is.

    A slash at the end does no harm either. A rewrite, because one of the clients follows no redirected POST.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _UNVERSIONED.fullmatch(scope["path"]):
            # Postgres refuses NUL; nothing is called by its replacement, so it is not found.
            path = (
                scope["path"]
                .replace("\0", "\N{REPLACEMENT CHARACTER}")
                .rstrip("/")
                .removeprefix("/v1")
                .removeprefix("/v1")
            )
            scope = {**scope, "path": f"/v1{path}"}
        await self._app(scope, receive, send)


class App(DescribedApp):
    """With ids around everything: what Starlette calls middleware stands inside of where unexpected failures end."""

    def build_middleware_stack(self) -> ASGIApp:
        return RequestIds(super().build_middleware_stack())


@asynccontextmanager
async def wired(app: FastAPI, settings: Settings) -> AsyncIterator[None]:
    """With everything open that its routes work with."""
    redis = open_redis(settings.redis_url, connections=_REDIS_CONNECTIONS)
    listening = open_listening_redis(settings.redis_url, connections=1)
    database = Database(settings, redis)
    limits = RateLimits(settings, redis) if settings.rate_limits else None
    async with AsyncExitStack() as stack:
        for close in (database.close, listening.aclose, redis.aclose):
            stack.push_async_callback(close)
        await first_look.look(database)
        feed = await stack.enter_async_context(Feed(listening))
        callers = await stack.enter_async_context(Callers(database, limits))
        lookups = await stack.enter_async_context(Lookups(database))
        admission = await stack.enter_async_context(Admission(settings, database))
        streams = OpenStreams(settings)
        app.state.services = Services(settings, database, feed, callers, lookups, admission, streams, limits)
        yield


def create_app(settings: Settings) -> FastAPI:
    """The application; opens its connections when it is started."""
    app = App(lifespan=lambda app: wired(app, settings))
    rooms = (
        predictions,
        stream,
        trainings,
        models,
        search,
        examples,
        versions,
        webhook_endpoints,
        webhook_messages,
        webhook_secret,
        collections,
        deployments,
        hardware,
        workers,
        files,
        contents,
        account,
    )
    for room in rooms:
        app.include_router(room.router, prefix="/v1")
    app.include_router(docs.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    errors.install(app)
    app.state.http_seconds = histogram()
    app.add_middleware(Traffic, app.state.http_seconds)
    if settings.rate_limits:
        app.add_middleware(AllowanceHeaders)
    app.add_middleware(VersionPrefix)
    return app
