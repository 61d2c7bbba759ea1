"""Queues nobody has used for long are closed, those that hold anything are not, and whoever comes opens them again."""

import asyncio
from typing import Any

from shared.database import Database, clock
from shared.queue import PredictJob, RedisPool, close_queues, open_queues, predict_queue
from shared.settings import Settings
from shared.tables import Prediction
from tests.database_fixtures import Rows, until
from worker.app import BellWorker
from worker.idle_queues import close_idle_queues
from worker.roles import Queues

HOUR = 3600.0


async def asked_for(rows: Rows, redis: RedisPool, seconds_ago: float, *, is_waiting: bool = False) -> str:
    """A version with a prediction of some time ago."""
    version_id = await rows.add_version()
    row = await rows.waiting(version_id=version_id)
    await rows.change(Prediction, Prediction.id == row.id, created_at=clock(-seconds_ago))
    if not is_waiting:
        await redis.zrem(predict_queue(version_id), f"{row.id}:{row.delivery}")
    return version_id


async def test_only_what_is_empty_and_was_not_asked_for_is_closed(
    database: Database, redis: RedisPool, rows: Rows
) -> None:
    idle = await asked_for(rows, redis, HOUR + 1)
    used = await asked_for(rows, redis, HOUR - 60)
    backlog = await asked_for(rows, redis, HOUR + 1, is_waiting=True)
    assert {idle, used, backlog} <= set(await open_queues(redis))
    await close_idle_queues(database)
    still = set(await open_queues(redis))
    assert {used, backlog} <= still
    assert idle not in still
    await database.send([PredictJob("again", 1, idle)])
    assert idle in await open_queues(redis)


async def test_of_jobs_and_closings_at_once_every_job_has_an_open_queue(database: Database, redis: RedisPool) -> None:
    async def put(number: int) -> None:
        await database.send([PredictJob(f"p{number}", 1, f"v{number}")])

    async def close(number: int) -> None:
        await close_queues(redis, [f"v{number}"])

    await asyncio.gather(*(task(number) for number in range(50) for task in (close, put, close)))
    assert {f"v{number}" for number in range(50)} <= set(await open_queues(redis))


async def test_a_worker_leaves_a_closed_queue_and_comes_back(
    settings: Settings, database: Database, redis: RedisPool
) -> None:
    done: list[Any] = []

    async def job(queue: BellWorker, prediction_id: str, delivery: int) -> None:
        done.append(prediction_id)

    queues = Queues(database, settings, redis)
    for number in range(3):
        await queues.take(predict_queue("v"), "predict", job, seats=1)
        await database.send([PredictJob(f"p{number}", 1, "v")])
        await until(lambda number=number: len(done) == number + 1)
        await queues.leave(predict_queue("v"))
        assert queues.workers == {}
    await queues.close()
