"""How much an account may do in a minute, and an address guess: buckets in Redis for all processes, that fill steadily.

Which bucket a request is taken from is said in `dependencies`. Without Redis everything passes: a limit that cannot be
counted must not be an outage.
"""

import asyncio
import math
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Network, ip_address
from time import monotonic

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.errors import Throttled
from shared.settings import Settings

_ALLOWANCE = "pinion.allowance"
"""Where a request's allowance is kept in its scope, for the answer's headers."""
_MINUTE = 60_000_000  # microseconds, as whole numbers: Lua writes long fractions inexactly
_TOO_MANY_GUESSES = (
    "Too many wrong tokens came from your address. Try again in ~{}s; a token that has worked here goes on working."
)
_IPV6_NETWORK_BITS = 64
_PATIENCE_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 1.0
_log = structlog.get_logger()

# A bucket is the moment at which it will be full again. One request moves that by what it takes to refill, and a bucket
# that would be full only after more than a minute is empty. The clock is the server's, so the callers' do not matter.
# What is given back is taken with a minus.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + ARGV[1]
local minute = tonumber(ARGV[2])
if full - now > minute then
    return {full - now - minute, minute}
end
if full <= now then
    redis.call('DEL', KEYS[1])
    return {0, 0}
end
redis.call('SET', KEYS[1], string.format('%.0f', full), 'PX', math.ceil((full - now) / 1000))
return {0, full - now}
"""


class Bucket(StrEnum):
    """What a request counts as."""

    CREATES = "creates"
    POLLS = "polls"
    REQUESTS = "requests"
    WRONG_TOKENS = "wrong_tokens"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a bucket after a request, and after how many seconds it is full again."""

    remaining: int
    reset: int


class RateLimits:
    """The buckets of all accounts and addresses."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        per_minute = {
            Bucket.CREATES: settings.creates_per_minute,
            Bucket.POLLS: settings.polls_per_minute,
            Bucket.REQUESTS: settings.requests_per_minute,
            Bucket.WRONG_TOKENS: settings.wrong_tokens_per_minute,
        }
        self._cost = {bucket: _MINUTE // number for bucket, number in per_minute.items()}
        self._script = redis.register_script(_TAKE)
        self._silent_until = 0.0

    async def take(self, request: Request, account_id: str, bucket: Bucket) -> None:
        """Count a request and note what is left; raises Throttled when nothing is."""
        cost = self._cost[bucket]
        wait, until_full = await self._move(bucket, account_id, cost) or (0, None)
        if until_full is not None:
            request.scope[_ALLOWANCE] = Allowance((_MINUTE - until_full) // cost, _seconds(until_full))
        if wait:
            raise Throttled(_seconds(wait))

    async def take_guess(self, host: str) -> None:
        """Count a token that nobody has seen yet before it is looked up; raises Throttled when it must not be."""
        wait, _ = await self._move(Bucket.WRONG_TOKENS, _neighbourhood(host), self._cost[Bucket.WRONG_TOKENS]) or (0, 0)
        if wait:
            raise Throttled(_seconds(wait), _TOO_MANY_GUESSES.format(_seconds(wait)))

    async def give_guess_back(self, host: str) -> None:
        """It was right."""
        await self._move(Bucket.WRONG_TOKENS, _neighbourhood(host), -self._cost[Bucket.WRONG_TOKENS])

    async def _move(self, bucket: Bucket, whose: str, cost: int) -> tuple[int, int] | None:
        """Microseconds until there is enough, and until it is full; None while nothing can be counted."""
        if self._silent_until > monotonic():
            return None
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                wait, until_full = await self._script(keys=[f"pinion:rate:{bucket}:{whose}"], args=[cost, _MINUTE])
        except (RedisError, OSError, TimeoutError) as error:
            self._silent_until = monotonic() + _LOOK_AGAIN_SECONDS
            _log.warning("requests are not counted", error=type(error).__name__)
            return None
        return wait, until_full


def _neighbourhood(host: str) -> str:
    """An address, or those of one IPv6 network, which has more than anybody could count; what is none is all one."""
    try:
        ip = ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Network((int(ip), _IPV6_NETWORK_BITS), strict=False).network_address)


def _seconds(microseconds: int) -> int:
    return math.ceil(microseconds / 1_000_000)


class AllowanceHeaders:
    """Tells clients with every answer what is left of their bucket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            allowance: Allowance | None = scope.get(_ALLOWANCE)
            if allowance and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["ratelimit-remaining"] = str(allowance.remaining)
                headers["ratelimit-reset"] = str(allowance.reset)
            await send(message)

        await self._app(scope, receive, tell)
