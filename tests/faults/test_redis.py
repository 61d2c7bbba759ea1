"""Rows 24 to 30: a Redis that dies, forgets, hangs, is full, or is not there; it only carries."""

import pytest

from shared.queue import bell, predict_queue
from tests.faults.stack import Stack
from tests.faults.trial import Trial, crowding


def loaded(stack: Stack) -> list[int]:
    """The processes in which models are."""
    return sorted(model.pid for worker in stack.workers for model in worker.models())


async def warm(trial: Trial) -> list[int]:
    """Models are up in both workers; their processes."""
    await trial.ordering(lambda: all(worker.models() for worker in trial.stack.workers), tokens=0, seconds=0.3)
    await trial.until(lambda: all(order.final for order in trial.client.orders))
    return loaded(trial.stack)


async def busy(trial: Trial) -> None:
    """Predictions run and others wait."""
    orders = await trial.started(6, tokens=6, seconds=0.1)
    await trial.until(lambda: any(order.heard for order in orders))


@pytest.mark.slow
async def test_row_24_a_redis_killed_and_started_again(trial: Trial) -> None:
    before = await warm(trial)
    await busy(trial)
    trial.stack.valkey.kill()
    trial.stack.valkey.start()
    trial.begins()
    await trial.judged(bound=9.0)
    assert loaded(trial.stack) == before


async def test_row_25_an_emptied_redis(trial: Trial) -> None:
    await busy(trial)
    with trial.stack.valkey.client() as redis:
        redis.flushall()
    trial.begins()
    await trial.judged(bound=9.0)


async def down(trial: Trial, seconds: float) -> None:
    before = await warm(trial)
    await busy(trial)
    trial.stack.valkey.kill()
    trial.begins()
    meanwhile = await trial.started(4)
    assert all(answer.status in (201, None) for order in meanwhile for answer in order.tries)
    await trial.until(lambda: trial.elapsed > seconds, 2 * seconds)
    await trial.until(trial.is_told_of_what_has_ended)  # webhooks go on
    trial.stack.valkey.forget()
    trial.stack.valkey.start()
    trial.begins()
    await trial.judged(bound=12.0)
    assert loaded(trial.stack) == before


@pytest.mark.slow
async def test_row_26_a_redis_that_is_away(trial: Trial) -> None:
    await down(trial, 5.0)


@pytest.mark.slow
async def test_row_26_a_redis_that_is_away_for_a_minute(trial: Trial) -> None:
    await down(trial, 60.0)


@pytest.mark.slow
async def test_row_27_a_redis_that_hangs(trial: Trial) -> None:
    before = await warm(trial)
    await busy(trial)
    trial.stack.valkey.freeze()
    trial.begins()
    meanwhile = trial.client.orders_many(2)
    await trial.until(lambda: all(order.id for order in meanwhile), 10.0 * crowding())
    await trial.until(lambda: trial.elapsed > 15.0)
    trial.stack.valkey.thaw()
    trial.begins()
    await trial.judged(bound=15.0)
    assert loaded(trial.stack) == before


@pytest.mark.slow
async def test_row_28_a_redis_without_memory(trial: Trial) -> None:
    await busy(trial)
    with trial.stack.valkey.client() as redis:
        redis.config_set("maxmemory", "1mb")
        try:
            meanwhile = await trial.started(4)
            assert all(answer.status == 201 for order in meanwhile for answer in order.tries)
        finally:
            redis.config_set("maxmemory", "0")
    trial.begins()
    await trial.judged(bound=9.0)


@pytest.mark.parametrize(
    "kind", ["entries", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("jobs", "streams", "bells"))]
)
async def test_row_29_a_redis_that_has_lost_one_kind_of_key(trial: Trial, kind: str) -> None:
    await busy(trial)
    queue = predict_queue(trial.stack.version)
    keys = {"entries": queue, "jobs": "arq:job:*", "streams": "pinion:live:*", "bells": bell(queue)}
    with trial.stack.valkey.client() as redis:
        if found := list(redis.scan_iter(keys[kind])):
            redis.delete(*found)
    trial.begins()
    await trial.judged(bound=9.0)


@pytest.mark.slow
async def test_row_30_a_half_open_connection_to_redis(trial: Trial) -> None:
    await warm(trial)
    worker = trial.stack.workers[0]
    worker.redis.swallow()
    trial.begins()
    trial.client.orders_many(4, tokens=3, seconds=0.1)
    await trial.until(lambda: trial.elapsed > 8.0)
    worker.redis.heal()
    trial.begins()
    await trial.judged(bound=15.0)
