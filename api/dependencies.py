"""What every route may ask for: the services of this process, who is calling, and under which address.

Nothing is decided about predictions here.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from sqlalchemy import Row

from api.admission import Admission
from api.callers import Callers
from api.lookups import Lookups
from api.open_streams import OpenStreams
from api.rate_limits import Bucket, RateLimits
from shared.contract import Scope
from shared.database import Database
from shared.errors import BodyTooLarge, Forbidden, Unauthenticated, UnsupportedMediaType
from shared.json_body import parse_body
from shared.live import Feed
from shared.settings import Settings
from shared.sizes import size_in_words


@dataclass(slots=True)
class Services:
    """Opened once by the app's lifespan."""

    settings: Settings
    database: Database
    feed: Feed
    callers: Callers
    lookups: Lookups
    admission: Admission
    streams: OpenStreams
    rate_limits: RateLimits | None
    """None where everybody may ask as often as they like."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is asked to end, so that open streams let go."""


async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


# Dependencies are async although nothing is awaited: FastAPI would run them in a thread, which costs more than they do.
Wired = Annotated[Services, Depends(services)]


class Permission(SecurityBase):
    """Lets a request pass if its token has a scope and its account something left; gives the calling account."""

    scheme_name = "token"
    model = HTTPBearer(description="A token of `pinion token create`; the scope an operation needs stands beside it.")

    def __init__(self, scope: Scope | None, bucket: Bucket = Bucket.REQUESTS) -> None:
        self.scope = scope
        self._bucket = bucket

    async def __call__(self, request: Request, wired: Wired) -> Row[Any]:
        caller = await wired.callers.find(token_of(request), request.client.host if request.client else "")
        if caller is None:
            raise Unauthenticated
        if wired.rate_limits:
            await wired.rate_limits.take(request, caller.id, self._bucket)
        if self.scope:
            check_scope(caller, self.scope)
        return caller


def check_scope(caller: Row[Any], scope: Scope) -> None:
    """Raises Forbidden unless the caller's token has it."""
    if caller.scopes is not None and scope not in caller.scopes:
        raise Forbidden(f"Your token lacks the scope {scope}. Use one that was made with it.")


def token_of(request: Request) -> str:
    """What stands in the one Authorization header, under either name that the official clients have for it."""
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() not in ("bearer", "token") or not token.strip():
        raise Unauthenticated("You did not pass an authentication token")
    return token.strip()


def permitted(scope: Scope | None, bucket: Bucket = Bucket.REQUESTS) -> Any:
    """A dependency on a permission, which our document shows with its scope."""
    return Security(Permission(scope, bucket), scopes=[scope] if scope else [])


Caller = Annotated[Row[Any], permitted(None)]
PredictionReader = Annotated[Row[Any], permitted(Scope.PREDICTIONS_READ)]
PredictionPoller = Annotated[Row[Any], permitted(Scope.PREDICTIONS_READ, Bucket.POLLS)]
PredictionWriter = Annotated[Row[Any], permitted(Scope.PREDICTIONS_WRITE)]
PredictionCreator = Annotated[Row[Any], permitted(Scope.PREDICTIONS_WRITE, Bucket.CREATES)]
TrainingReader = Annotated[Row[Any], permitted(Scope.TRAININGS_READ)]
TrainingPoller = Annotated[Row[Any], permitted(Scope.TRAININGS_READ, Bucket.POLLS)]
TrainingWriter = Annotated[Row[Any], permitted(Scope.TRAININGS_WRITE)]
TrainingCreator = Annotated[Row[Any], permitted(Scope.TRAININGS_WRITE, Bucket.CREATES)]
ModelReader = Annotated[Row[Any], permitted(Scope.MODELS_READ)]
ModelWriter = Annotated[Row[Any], permitted(Scope.MODELS_WRITE)]
DeploymentReader = Annotated[Row[Any], permitted(Scope.DEPLOYMENTS_READ)]
DeploymentWriter = Annotated[Row[Any], permitted(Scope.DEPLOYMENTS_WRITE)]
WebhookReader = Annotated[Row[Any], permitted(Scope.WEBHOOKS_READ)]
WebhookWriter = Annotated[Row[Any], permitted(Scope.WEBHOOKS_WRITE)]


async def public_base(request: Request, wired: Wired) -> str:
    """The address to put into links: the configured one, else the one this client used."""
    return wired.settings.public_url or str(request.base_url).rstrip("/")


Base = Annotated[str, Depends(public_base)]


async def bounded(request: Request, limit: int, advice: str = "Send files as URLs instead.") -> AsyncIterator[bytes]:
    """The body piece by piece; raises BodyTooLarge as soon as it is known to be."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Compressed bodies are not accepted. Send it as it is, without Content-Encoding.")
    too_large = BodyTooLarge(f"The body is larger than {size_in_words(limit)}. {advice}")
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
    return parse_body(b"".join([piece async for piece in bounded(request, wired.settings.max_body_bytes)]))


JsonBody = Annotated[dict[str, Any], Depends(json_body)]
