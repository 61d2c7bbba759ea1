"""`pinion check`: an installation judged by the invariants, for operators and for monitoring.

Works on the database and the Redis of the settings, and changes nothing. What must hold stands in `shared.invariants`.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from cli import configuration
from cli.database import on_database
from cli.failure import Failure
from cli.moments import moment
from cli.printing import show
from shared.database import Database
from shared.invariants import INVARIANTS, Broken, Look, broken

REPAIR_SECONDS = 15.0
"""What a fault has left behind is repaired within this time, and a lease."""
_SHOWN = 20


def check(since: str) -> None:
    """Ends with a Failure, and so with exit code 1, if something does not hold."""
    settings = configuration.load()
    now = datetime.now(UTC)
    seconds, lease = (now - moment(since, now)).total_seconds(), settings.lease_seconds

    async def judge(database: Database) -> list[Broken]:
        try:
            await database.redis.ping()
        except (RedisError, OSError) as error:
            raise Failure(_no_redis(settings.redis_url)) from error
        return await broken(Look(database, seconds, lease, REPAIR_SECONDS))

    found = {each.invariant: each.ids for each in on_database(judge)}
    lines = [(each.numbers, str(len(found.get(each, ()))), each.sentence) for each in INVARIANTS]
    show(("INVARIANT", "BROKEN", "WHAT MUST HOLD"), lines)
    for invariant, ids in found.items():
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        print(f"\n{invariant.numbers} {invariant.sentence}\n  not so: {' '.join(ids[:_SHOWN])}{more}")
    if found:
        raise Failure(f"{len(found)} of {len(INVARIANTS)} invariants do not hold: see above, and docs/operations.md.")


def _no_redis(url: str) -> str:
    server = urlsplit(url)  # shown without what may be a password
    place = f"{server.hostname}:{server.port or 6379}" if server.hostname else server.path
    return f"Redis ({place}) does not answer: start Pinion or that server, or correct REDIS_URL."
