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

router = APIRouter(tags=["health"])

_PATIENCE_SECONDS = 2.0


@router.get("/livez")
async def is_alive() -> Response:
    """The process answers."""
    return answer({"alive": True})


@router.get("/readyz", responses={503: {"description": "Something needed to accept work is not reachable"}})
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
