"""What goes on while a server behind us is away, hangs or is held up, and how soon whoever asks is told."""

import asyncio
from contextlib import asynccontextmanager
from time import monotonic

import asyncpg
import httpx

from shared.database import Database, clock
from shared.ids import new_id
from shared.queue import RedisPool, predict_queue
from shared.settings import Settings
from shared.tables import Prediction
from shared.tasks import end
from tests.api_in_process import serving
from tests.database_fixtures import Backend, PrivateValkey, Rows, outage, redis_at, until
from tests.host import Host, installed
from worker.sweep import Sweep

PATH = "/v1/predictions"
LIVE_SECONDS = 0.1
REFUSED_SECONDS = 8.0
"""Five for a statement, two for a connection, one for a busy machine."""


async def create(client: httpx.AsyncClient, rows: Rows) -> httpx.Response:
    return await client.post(PATH, json={"version": rows.version_id, "input": {}})


async def seconds_to_live(client: httpx.AsyncClient) -> float:
    """The quickest of a few answers: the machine of the tests is busy, too."""
    took = []
    for _ in range(5):
        began = monotonic()
        assert (await client.get("/livez")).status_code == 200
        took.append(monotonic() - began)
    return min(took)


@asynccontextmanager
async def held_up(servers: Backend):
    """Nobody can write predictions: somebody holds a lock and does not let go."""
    if servers.name == "embedded":
        async with outage(servers):
            yield
        return
    other = await asyncpg.connect(servers.database_url)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await other.close()


async def test_a_redis_that_hangs_holds_up_one_create_and_not_all(
    settings: Settings, rows: Rows, valkey: PrivateValkey
) -> None:
    await rows.add_token()
    async with serving(settings.model_copy(update={"redis_url": valkey.url})) as client:
        assert (await create(client, rows)).status_code == 201
        with valkey.hanging():
            assert (await create(client, rows)).status_code == 201
            began = monotonic()
            answers = await asyncio.gather(*(create(client, rows) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {201}
            assert monotonic() - began < 5, "each waited for Redis anew"
            assert await seconds_to_live(client) < LIVE_SECONDS
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()) == (200, {"database": True, "redis": False})
        async with redis_at(valkey.url) as redis:
            await redis.flushdb()
            await until(lambda: is_queued(client, rows, redis))


async def test_a_redis_that_hangs_holds_up_no_deadline(
    settings: Settings, database: Database, rows: Rows, valkey: PrivateValkey
) -> None:
    waiting = await rows.waiting()
    await rows.change(Prediction, Prediction.id == waiting.id, queued_at=clock(-60))
    async with redis_at(valkey.url) as redis:
        await redis.ping()
        swept = Database(settings, redis)
        with valkey.hanging():
            sweep = asyncio.create_task(Sweep(settings, swept, new_id()).run())
            overdue = await rows.waiting(lifetime_seconds=1.0)
            await until(lambda: has_ended(rows, overdue.id), 9)
        await end(sweep)
        await swept.close()


async def has_ended(rows: Rows, prediction_id: str) -> bool:
    return (await rows.prediction(prediction_id)).completed_at is not None


async def is_queued(client: httpx.AsyncClient, rows: Rows, redis: RedisPool) -> bool:
    """Whether jobs get into Redis again."""
    assert (await create(client, rows)).status_code == 201
    return bool(await redis.zcard(predict_queue(rows.version_id)))


async def test_what_cannot_be_stored_is_refused_soon_however_many_ask(
    servers: Backend, client: httpx.AsyncClient, rows: Rows
) -> None:
    assert (await create(client, rows)).status_code == 201
    async with held_up(servers):
        began = monotonic()
        asking = asyncio.gather(*(create(client, rows) for _ in range(30)))
        assert await seconds_to_live(client) < LIVE_SECONDS
        answers = await asking
        assert {answer.status_code for answer in answers} == {503}
        assert monotonic() - began < REFUSED_SECONDS
        assert {answer.headers["retry-after"] for answer in answers} == {"2"}
    await until(lambda: is_created(client, rows))


async def is_created(client: httpx.AsyncClient, rows: Rows) -> bool:
    return (await create(client, rows)).status_code == 201


async def test_a_model_stays_up_without_a_database_and_its_result_is_written_when_that_is_back(
    servers: Backend, settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "tells_its_process", is_iterator=True)
    before = await host.run(rows, version_id, streams=True, input={"seconds": 0})
    row = await rows.waiting(version_id=version_id, streams=True, input={"seconds": 0.5})
    running = asyncio.create_task(host.predict(version_id, row.id))
    await until(lambda: is_processing(rows, row.id))
    async with outage(servers):
        await asyncio.wait({running}, timeout=1.5)
        assert not running.done()
    await running
    after = await host.run(rows, version_id, streams=True, input={"seconds": 0})
    ended = await rows.prediction(row.id)
    assert ended.status == "succeeded"
    assert len({*before.output, *ended.output, *after.output}) == 1, "the model was started again"


async def is_processing(rows: Rows, prediction_id: str) -> bool:
    return (await rows.prediction(prediction_id)).status == "processing"
