"""Whether this process lives, and whether it can take work.

Answers without a token and without prose.
"""

import asyncio

from fastapi import APIRouter, Response
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.bodies import answer
from api.dependencies import Services, Wired
from api.documentation import answers

router = APIRouter(tags=["health"])

_PATIENCE_SECONDS = 0.8
"""Probes usually wait for a second, and a Redis that hangs must not take a good API from its clients."""
_ALIVE = {"application/json": {"schema": {"type": "object"}, "example": {"alive": True}}}
_READY = {"application/json": {"schema": {"type": "object"}, "example": {"database": True, "redis": True}}}


@router.get("/livez", operation_id="health.live", responses=answers(200, "It lives", _ALIVE))
async def is_alive() -> Response:
    """The process answers."""
    return answer({"alive": True})


@router.get(
    "/readyz",
    operation_id="health.ready",
    responses=answers(200, "Ready to accept work", _READY) | answers(503, "The database is not reachable", _READY),
)
async def is_ready(wired: Wired) -> Response:
    """The database answers, without which nothing is accepted; Redis is told as well."""
    database, redis = await asyncio.gather(_database_answers(wired), _redis_answers(wired))
    return answer({"database": database, "redis": redis}, 200 if database else 503)


async def _database_answers(wired: Services) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS), wired.database.reading() as connection:
            await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, OSError, TimeoutError):
        return False
    return True


async def _redis_answers(wired: Services) -> bool:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await wired.database.redis.ping()
    except (RedisError, OSError, TimeoutError):
        return False
    return True
