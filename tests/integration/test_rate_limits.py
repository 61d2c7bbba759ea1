"""How much an account may do in a minute, over all processes, and what it is told about it.

Nothing here depends on how long a test takes: a bucket that has to be empty is emptied for a day.
"""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from shared.database import Database
from shared.queue import RedisPool
from shared.settings import Settings
from shared.tables import Token
from tests.api_in_process import serving
from tests.database_fixtures import TOKEN, PrivateValkey, Rows, until

PATH = "/v1/predictions"
DAY_SECONDS = 86_400
OTHER_TOKEN = "r8_" + "o" * 37


@pytest.fixture
def limited(settings: Settings) -> Settings:
    changes = {
        "rate_limits": True,
        "creates_per_minute": 1,
        "polls_per_minute": 60_000,
        "requests_per_minute": 10,
        "wrong_tokens_per_minute": 4,
    }
    return settings.model_copy(update=changes)


@pytest.fixture
async def client(limited: Settings, rows: Rows) -> AsyncIterator[httpx.AsyncClient]:
    await rows.add_token()
    async with serving(limited) as opened:
        yield opened


async def create(client: httpx.AsyncClient, rows: Rows, **headers: str) -> httpx.Response:
    return await client.post(PATH, json={"version": rows.version_id, "input": {}}, headers=headers)


async def drain(redis: RedisPool, account_id: str, bucket: str) -> None:
    """Empty a bucket for so long that no pause of the machine fills it."""
    seconds, _ = await redis.time()
    await redis.set(f"pinion:rate:{bucket}:{account_id}", (seconds + DAY_SECONDS) * 1_000_000)


async def test_who_asks_too_often_is_told_for_how_long_to_wait(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool
) -> None:
    made = await create(client, rows)
    assert (made.status_code, made.headers["ratelimit-remaining"], made.headers["ratelimit-reset"]) == (201, "0", "60")
    await drain(redis, rows.account_id, "creates")
    refused = await create(client, rows)
    seconds = int(refused.headers["retry-after"])
    assert 0 < seconds <= DAY_SECONDS
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert (refused.status_code, refused.json()) == (
        429,
        {
            "title": "Request was throttled",
            "detail": f"Request was throttled. Your rate limit resets in ~{seconds}s.",
            "status": 429,
            "retry_after": seconds,
        },
    )


async def test_looking_at_a_prediction_is_counted_apart_and_so_is_everything_else(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool
) -> None:
    made = await create(client, rows)
    await drain(redis, rows.account_id, "creates")
    poll = await client.get(f"{PATH}/{made.json()['id']}")
    assert (poll.status_code, poll.headers["ratelimit-remaining"], poll.headers["ratelimit-reset"]) == (
        200,
        "59999",
        "1",
    )
    other = await client.get("/v1/account")
    assert (other.status_code, other.headers["ratelimit-remaining"]) == (200, "9")


async def test_an_address_that_is_its_own_permission_is_not_counted(
    client: httpx.AsyncClient, redis: RedisPool
) -> None:
    assert "ratelimit-remaining" not in (await client.get("/v1/streams/unknown")).headers
    assert await redis.keys("pinion:rate:*") == []


async def test_an_account_shares_its_limit_among_its_tokens_and_with_nobody_else(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool
) -> None:
    await rows.add_token("r8_second")
    await (await Rows.made(rows.database, "other")).add_token(OTHER_TOKEN)
    await drain(redis, rows.account_id, "creates")
    assert (await create(client, rows)).status_code == 429
    assert (await create(client, rows, authorization="Bearer r8_second")).status_code == 429
    assert (await create(client, rows, authorization=f"Bearer {OTHER_TOKEN}")).status_code == 201


async def test_processes_count_together_and_nothing_is_granted_twice(
    client: httpx.AsyncClient, limited: Settings
) -> None:
    began = monotonic()
    async with serving(limited) as second:
        answers = await asyncio.gather(*(each.get("/v1/account") for each in (client, second) * 10))
    granted = [answer.status_code for answer in answers].count(200)
    assert 10 <= granted <= 10 + (monotonic() - began) / 6


async def test_a_bucket_fills_again_steadily(client: httpx.AsyncClient, rows: Rows, redis: RedisPool) -> None:
    key = f"pinion:rate:requests:{rows.account_id}"
    await drain(redis, rows.account_id, "requests")
    assert (await client.get("/v1/account")).status_code == 429
    await redis.decrby(key, (DAY_SECONDS - 48) * 1_000_000)  # as time would: two of ten requests are there again
    assert [(await client.get("/v1/account")).status_code for _ in range(2)] == [200, 200]
    assert 0 < await redis.pttl(key) <= 60_000


async def account(client: httpx.AsyncClient, token: str) -> httpx.Response:
    return await client.get("/v1/account", headers={"Authorization": f"Bearer {token}"})


def coming_from(client: httpx.AsyncClient, host: str) -> None:
    client._transport.client = (host, 1234)  # type: ignore[attr-defined]


async def test_wrong_tokens_from_one_address_are_refused_without_being_looked_up(
    client: httpx.AsyncClient, limited: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = 0

    async def count(database: Database, digest: str) -> None:
        nonlocal looked_up
        looked_up += 1

    monkeypatch.setattr("shared.tokens.find_caller", count)
    began = monotonic()
    answers = [await account(client, f"r8_{number}") for number in range(3 * limited.wrong_tokens_per_minute)]
    tried = [answer.status_code for answer in answers].count(401)
    assert tried == looked_up
    assert limited.wrong_tokens_per_minute <= tried <= limited.wrong_tokens_per_minute + (monotonic() - began) / 15
    refused = answers[-1]
    assert (refused.status_code, refused.json()["retry_after"]) == (429, int(refused.headers["retry-after"]))
    assert "wrong tokens" in refused.json()["detail"]


async def test_who_was_right_before_is_not_held_up_by_those_who_guess_from_the_same_address(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool
) -> None:
    assert (await account(client, TOKEN)).status_code == 200
    await rows.add_token(OTHER_TOKEN)
    await drain(redis, "127.0.0.1", "wrong_tokens")
    assert (await account(client, TOKEN)).status_code == 200
    assert (await account(client, OTHER_TOKEN)).status_code == 429
    coming_from(client, "192.0.2.7")
    assert (await account(client, OTHER_TOKEN)).status_code == 200
    coming_from(client, "127.0.0.1")
    assert (await account(client, OTHER_TOKEN)).status_code == 200


async def test_right_tokens_use_up_nothing(client: httpx.AsyncClient, rows: Rows, redis: RedisPool) -> None:
    for number in range(8):
        await rows.add_token(f"r8_right_{number}")
        assert (await account(client, f"r8_right_{number}")).status_code == 200
    assert await redis.keys("pinion:rate:wrong_tokens:*") == []


async def test_a_token_that_was_taken_back_is_a_guess_from_then_on(
    client: httpx.AsyncClient, rows: Rows, redis: RedisPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await account(client, TOKEN)).status_code == 200
    async with rows.database.transaction() as transaction:
        await transaction.execute(delete(Token))
    now = monotonic()
    monkeypatch.setattr("api.callers.monotonic", lambda: now + 6)
    assert (await account(client, TOKEN)).status_code == 401
    assert await redis.keys("pinion:rate:wrong_tokens:*") == []
    assert (await account(client, TOKEN)).status_code == 401
    assert await redis.keys("pinion:rate:wrong_tokens:*") == [b"pinion:rate:wrong_tokens:127.0.0.1"]


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
        ("nonsense\r\n", "unknown"),
    ],
)
async def test_guesses_are_counted_by_address_or_network(
    client: httpx.AsyncClient, redis: RedisPool, host: str, whose: str
) -> None:
    coming_from(client, host)
    assert (await account(client, "r8_wrong")).status_code == 401
    assert await redis.keys("pinion:rate:wrong_tokens:*") == [f"pinion:rate:wrong_tokens:{whose}".encode()]


async def test_without_limits_nothing_is_counted_or_told(settings: Settings, rows: Rows, redis: RedisPool) -> None:
    await rows.add_token()
    async with serving(settings) as client:
        answers = [await client.get("/v1/account") for _ in range(3)]
        assert [(await account(client, "r8_wrong")).status_code for _ in range(3)] == [401] * 3
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit-remaining" not in answers[0].headers
    assert await redis.keys("pinion:rate:*") == []


async def test_without_redis_everything_passes_and_counting_goes_on_by_itself(
    limited: Settings, rows: Rows, valkey: PrivateValkey
) -> None:
    await rows.add_token()
    alone = limited.model_copy(update={"redis_url": valkey.url, "requests_per_minute": 1})
    async with serving(alone) as client:
        assert "ratelimit-remaining" in (await client.get("/v1/account")).headers
        valkey.kill()
        answers = [await client.get("/v1/account") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert not [answer for answer in answers if "ratelimit-remaining" in answer.headers]
        valkey.start()

        async def is_counted() -> Any:
            return "ratelimit-remaining" in (await client.get("/v1/account")).headers

        await until(is_counted)
