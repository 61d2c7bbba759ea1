"""What a running prediction tells is heard by everybody who follows it, can be replayed, and is never told twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from shared.ids import new_id
from shared.live import CancelRequest, Chunk, Feed, cancel_channel, channel, replay, stream_key
from shared.queue import RedisPool
from shared.settings import Settings
from tests.database_fixtures import PrivateValkey, redis_at, until

P = new_id()  # channels are the same in all databases of a server
FIRST = Chunk(P, 1, 0, ["a", "b"])
SECOND = Chunk(P, 1, 2, ["c"])
LAST = Chunk(P, 1, 3, [], finished=True)


async def tell(redis: RedisPool, *told: Any) -> list[Any]:
    pipe = redis.pipeline(transaction=False)
    for item in told:
        item.write(pipe)
    return await pipe.execute(raise_on_error=False)


async def listening(redis: RedisPool) -> list[Any]:
    """Connections that have subscribed to something. Unlike channels they belong to one database of a server."""
    number = str(redis.connection_pool.connection_kwargs.get("db", 0))
    return [client for client in await redis.client_list(_type="pubsub") if client["db"] == number]


async def listeners(redis: RedisPool, name: str) -> int:
    return dict(await redis.pubsub_numsub(name))[name.encode()]


async def heard_next(heard: "asyncio.Queue[bytes]") -> Chunk:
    async with asyncio.timeout(10):
        return msgspec.json.decode(await heard.get(), type=Chunk)


@asynccontextmanager
async def following(redis: RedisPool, feed: Feed, name: str) -> AsyncIterator["asyncio.Queue[bytes]"]:
    """Follow, and go on when the server knows."""
    async with feed.follow(name) as heard:
        await until(lambda: listeners(redis, name))
        yield heard


async def test_chunks_are_replayed_in_order(redis: RedisPool) -> None:
    await tell(redis, FIRST, SECOND, LAST)
    assert await replay(redis, P) == [FIRST, SECOND, LAST]
    assert await replay(redis, "another") == []
    assert 0 < await redis.ttl(stream_key(P)) <= 3600


@pytest.mark.parametrize("value", ["", "é\u2028\n", None, 3, 2.5, [1, ["x"]], {"nested": {"key": None}}])
async def test_every_kind_of_item_comes_back_as_it_was(redis: RedisPool, value: Any) -> None:
    await tell(redis, Chunk(P, 1, 0, [value]))
    assert (await replay(redis, P))[0].values == [value]


async def test_a_repeated_write_is_refused_rather_than_doubled(redis: RedisPool) -> None:
    await tell(redis, FIRST, SECOND, LAST)
    await tell(redis, FIRST)
    await tell(redis, SECOND, LAST)
    assert await replay(redis, P) == [FIRST, SECOND, LAST]


async def test_nothing_is_told_behind_the_last_word_of_an_attempt(redis: RedisPool) -> None:
    await tell(redis, FIRST, LAST, SECOND)
    assert await replay(redis, P) == [FIRST, LAST]


async def test_a_new_attempt_is_told_behind_the_old_one(redis: RedisPool) -> None:
    again = Chunk(P, 2, 0, ["A"])
    await tell(redis, FIRST, LAST, again, SECOND)
    assert await replay(redis, P) == [FIRST, LAST, again]


async def test_a_follower_hears_what_is_told_in_order(redis: RedisPool, feed: Feed) -> None:
    async with following(redis, feed, channel(P)) as heard:
        await tell(redis, FIRST, SECOND, LAST)
        assert [await heard_next(heard) for _ in range(3)] == [FIRST, SECOND, LAST]


async def test_a_worker_hears_what_it_is_asked_to_cancel(redis: RedisPool, feed: Feed) -> None:
    async with following(redis, feed, cancel_channel("alice")) as heard:
        await tell(redis, CancelRequest("bob", "other"), CancelRequest("alice", P))
        async with asyncio.timeout(10):
            assert await heard.get() == P.encode()


async def test_many_followers_share_one_connection_and_each_hears_its_own(redis: RedisPool, feed: Feed) -> None:
    async with (
        following(redis, feed, channel(P)) as one,
        following(redis, feed, channel(P)) as two,
        following(redis, feed, channel("other")) as other,
    ):
        assert len(await listening(redis)) == 1
        await tell(redis, FIRST, Chunk("other", 1, 0, ["x"]))
        assert await heard_next(one) == await heard_next(two) == FIRST
        assert (await heard_next(other)).values == ["x"]
        assert one.empty()
        assert two.empty()


async def test_followers_that_come_at_the_very_beginning_share_the_connection_too(
    settings: Settings, redis: RedisPool
) -> None:
    async with redis_at(settings.redis_url, is_listening=True) as pool, Feed(pool) as feed, AsyncExitStack() as stack:
        names = [channel(f"{P} {number}") for number in range(5)]
        queues = await asyncio.gather(*(stack.enter_async_context(feed.follow(name)) for name in names))
        await until(lambda: _all_are_heard(redis, names))
        assert len(await listening(redis)) == 1
        await tell(redis, *(Chunk(f"{P} {number}", 1, 0, ["x"]) for number in range(5)))
        assert [(await heard_next(heard)).values for heard in queues] == [["x"]] * 5


async def _all_are_heard(redis: RedisPool, names: list[str]) -> bool:
    return all([await listeners(redis, name) for name in names])


async def test_whoever_leaves_first_takes_nothing_from_the_others(redis: RedisPool, feed: Feed) -> None:
    async with following(redis, feed, channel(P)) as stays:
        async with following(redis, feed, channel(P)):
            pass
        await tell(redis, FIRST)
        assert await heard_next(stays) == FIRST


async def test_the_last_to_leave_closes_the_channel(redis: RedisPool, feed: Feed) -> None:
    async with following(redis, feed, channel(P)):
        pass
    await until(lambda: _nobody_listens(redis))
    async with following(redis, feed, channel(P)) as heard:
        await tell(redis, FIRST)
        assert await heard_next(heard) == FIRST


async def _nobody_listens(redis: RedisPool) -> bool:
    return not await listeners(redis, channel(P))


async def test_one_that_comes_while_another_leaves_still_hears(redis: RedisPool, feed: Feed) -> None:
    for number in range(30):
        first = feed.follow(channel(P))
        await first.__aenter__()
        leaving = asyncio.create_task(first.__aexit__(None, None, None))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        async with feed.follow(channel(P)) as heard:
            await leaving
            await until(lambda: listeners(redis, channel(P)))
            told = Chunk(P, 1, number, ["a"])
            await tell(redis, told)
            assert await heard_next(heard) == told


async def test_a_follower_that_is_canceled_leaves_no_channel_behind(redis: RedisPool, feed: Feed) -> None:
    async def follow() -> None:
        async with feed.follow(channel(P)) as heard:
            await heard.get()

    task = asyncio.create_task(follow())
    await until(lambda: listeners(redis, channel(P)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await until(lambda: _nobody_listens(redis))


async def test_one_that_comes_while_another_is_canceled_on_its_way_still_hears(redis: RedisPool, feed: Feed) -> None:
    async def follow(hears: asyncio.Queue[Chunk]) -> None:
        async with feed.follow(channel(P)) as heard:
            hears.put_nowait(await heard_next(heard))

    hears: asyncio.Queue[Chunk] = asyncio.Queue()
    async with feed._turn:  # nobody gets through to Redis
        first, second = [asyncio.create_task(follow(hears)) for _ in range(2)]
        await until(lambda: len(feed._followers[channel(P)]) == 2)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await until(lambda: listeners(redis, channel(P)))
    await tell(redis, FIRST)
    async with asyncio.timeout(10):
        assert await hears.get() == FIRST
    await second


async def test_a_follower_that_is_canceled_on_its_way_out_leaves_no_channel_behind(
    redis: RedisPool, feed: Feed
) -> None:
    follower = feed.follow(channel(P))
    await follower.__aenter__()
    async with feed._turn:
        leaving = asyncio.create_task(follower.__aexit__(None, None, None))
        await until(lambda: channel(P) not in feed._followers)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await until(lambda: _nobody_listens(redis))


async def test_following_works_again_after_a_restart_of_redis(valkey: PrivateValkey) -> None:
    async with (
        redis_at(valkey.url) as redis,
        redis_at(valkey.url, connections=2, is_listening=True) as pool,
        Feed(pool) as feed,
        following(redis, feed, channel(P)) as heard,
    ):
        valkey.kill()
        await asyncio.to_thread(valkey.start)
        await until(lambda: listeners(redis, channel(P)))
        async with following(redis, feed, channel("new")) as new:
            await tell(redis, FIRST, Chunk("new", 1, 0, ["x"]))
            assert await heard_next(heard) == FIRST
            assert (await heard_next(new)).values == ["x"]


async def test_following_while_redis_is_away_begins_once_it_is_back(valkey: PrivateValkey) -> None:
    async with (
        redis_at(valkey.url) as redis,
        redis_at(valkey.url, connections=2, is_listening=True) as pool,
        Feed(pool) as feed,
    ):
        await until(lambda: listeners(redis, "pinion:feed"))
        valkey.kill()
        async with feed.follow(channel(P)) as heard:
            await asyncio.to_thread(valkey.start)
            await until(lambda: listeners(redis, channel(P)))
            await tell(redis, FIRST)
            assert await heard_next(heard) == FIRST


async def test_followers_that_come_during_a_restart_of_redis_hear_afterwards(valkey: PrivateValkey) -> None:
    async with (
        redis_at(valkey.url) as redis,
        redis_at(valkey.url, is_listening=True) as pool,
        Feed(pool) as feed,
        following(redis, feed, channel(P)) as heard,
        AsyncExitStack() as stack,
    ):
        valkey.kill()
        starting = asyncio.create_task(asyncio.to_thread(valkey.start))
        names = [channel(f"{P} {number}") for number in range(20)]
        queues = [await stack.enter_async_context(feed.follow(name)) for name in names]
        await starting
        await until(lambda: _all_are_heard(redis, [channel(P), *names]))
        assert len(await listening(redis)) == 1
        await tell(redis, FIRST, *(Chunk(f"{P} {number}", 1, 0, ["x"]) for number in range(20)))
        assert await heard_next(heard) == FIRST
        assert [(await heard_next(heard)).values for heard in queues] == [["x"]] * 20


async def test_a_feed_without_redis_can_be_opened_and_closed(settings: Settings) -> None:
    async with (
        redis_at(f"unix://{settings.home / 'nobody.sock'}", is_listening=True) as nowhere,
        Feed(nowhere) as feed,
        feed.follow(channel(P)) as heard,
    ):
        assert heard.empty()
