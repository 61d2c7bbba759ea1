"""What every route may ask for: the services of this process, who is calling, and under which address.

Nothing is decided about predictions here.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import Row

from shared import accounts
from shared.database import Database
from shared.errors import BodyTooLarge, Unauthenticated, UnsupportedMediaType
from shared.json_body import parse_body
from shared.live import Feed
from shared.settings import Settings

_TOKEN_CACHE_SECONDS = 5
"""A revoked token works this much longer at most."""


@dataclass(slots=True)
class Services:
    """Opened once by the app's lifespan."""

    settings: Settings
    database: Database
    feed: Feed
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is asked to end, so that open streams let go."""
    callers: dict[str, tuple[float, Row[Any]]] = field(default_factory=dict)
    """Accounts by token digest, each with the time until which it may be believed."""


async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


# Dependencies are async although nothing is awaited: FastAPI would run them in a thread, which costs more than they do.
Wired = Annotated[Services, Depends(services)]


async def authenticate(request: Request, wired: Wired) -> Row[Any]:
    """The calling account; raises Unauthenticated with one text for every bad token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("bearer", "token") or not token.strip():
        raise Unauthenticated("You did not pass an authentication token")
    digest = accounts.digest(token.strip())
    cached = wired.callers.get(digest)
    if cached and cached[0] > monotonic():
        return cached[1]
    account = await accounts.find_by_token(wired.database, token.strip())
    if account is None:
        raise Unauthenticated
    if len(wired.callers) > 10_000:
        wired.callers.clear()
    wired.callers[digest] = (monotonic() + _TOKEN_CACHE_SECONDS, account)
    return account


Caller = Annotated[Row[Any], Depends(authenticate)]


async def public_base(request: Request, wired: Wired) -> str:
    """The address to put into links: the configured one, else the one this client used."""
    return wired.settings.public_url or str(request.base_url).rstrip("/")


Base = Annotated[str, Depends(public_base)]


async def bounded(request: Request, limit: int, advice: str = "Send files as URLs instead.") -> AsyncIterator[bytes]:
    """The body piece by piece; raises BodyTooLarge as soon as it is known to be."""
    too_large = BodyTooLarge(f"The body is larger than {limit} bytes. {advice}")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    received = 0
    async for piece in request.stream():
        received += len(piece)
        if received > limit:
            raise too_large
        yield piece


async def json_body(request: Request, wired: Wired) -> dict[str, Any]:
    """The request's JSON object, strictly read; the caller checks its keys."""
    if request.headers.get("content-type", "application/json").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("Compressed bodies are not accepted. Send plain application/json.")
    return parse_body(b"".join([piece async for piece in bounded(request, wired.settings.max_body_bytes)]))


JsonBody = Annotated[dict[str, Any], Depends(json_body)]
