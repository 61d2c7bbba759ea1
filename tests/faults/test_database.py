"""Rows 31 to 35: a database that dies, hangs, forgets an answer, takes no writes, or is an older one again."""

import asyncio

import asyncpg
import pytest

from tests.faults.history import Order
from tests.faults.test_redis import busy, loaded, warm
from tests.faults.trial import Trial
from tests.receiver import Delivery


@pytest.fixture
def trial(trial: Trial) -> Trial:
    if trial.stack.postgres is None:
        pytest.skip("no Postgres of our own can be made here")
    return trial


async def executed(trial: Trial, *statements: str) -> None:
    assert trial.stack.postgres
    connection = await asyncpg.connect(trial.stack.postgres.url(), timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def creates_are_refused(trial: Trial) -> None:
    """For now."""
    orders = trial.client.orders_many(3)
    await trial.until(lambda: all(503 in [answer.status for answer in order.tries] for order in orders), 60.0)


async def everything_is_refused(trial: Trial) -> None:
    """For now, and the processes say that they are not ready."""
    trial.client.orders_many(3)
    for path in ("/v1/predictions", "/readyz"):
        assert [await trial.status(api, path) for api in trial.stack.apis] == [503, 503]


def name_of(delivery: Delivery) -> str:
    return delivery.path.rpartition("/")[2]


def told_ids(trial: Trial, orders: list[Order]) -> dict[str, str]:
    """Under which id the receiver has heard of the end of each."""
    names = {order.name for order in orders}
    told = [each for each in trial.receiver.deliveries if name_of(each) in names and each.tells_an_end]
    return {name_of(each): each.headers["webhook-id"] for each in told}


async def test_row_31_a_postgres_stopped_at_once_and_started_again(trial: Trial) -> None:
    postgres = trial.stack.postgres
    assert postgres
    before = await warm(trial)
    await busy(trial)
    postgres.stop_at_once()
    await creates_are_refused(trial)
    await everything_is_refused(trial)
    await asyncio.to_thread(postgres.start)
    trial.begins()
    await trial.judged(bound=15.0)
    assert loaded(trial.stack) == before
    assert all(order.final and order.final["status"] == "succeeded" for order in trial.client.orders)


@pytest.mark.slow
async def test_row_32_a_postgres_that_hangs(trial: Trial) -> None:
    assert trial.stack.postgres
    before = await warm(trial)
    await busy(trial)
    trial.stack.postgres.freeze()
    trial.begins()
    await everything_is_refused(trial)
    trial.stack.postgres.thaw()
    trial.begins()
    await trial.judged(bound=20.0)
    assert loaded(trial.stack) == before


@pytest.mark.slow
async def test_row_32_a_long_lock(trial: Trial) -> None:
    assert trial.stack.postgres
    await busy(trial)
    connection = await asyncpg.connect(trial.stack.postgres.url())
    async with connection.transaction():
        await connection.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
        assert [await trial.status(api, "/v1/predictions") for api in trial.stack.apis] == [503, 503]
    await connection.close()
    trial.begins()
    await trial.judged(bound=20.0)


@pytest.mark.slow
async def test_row_33_answers_of_postgres_lost_while_predictions_end(trial: Trial) -> None:
    orders = await trial.started(6, tokens=2, seconds=0.05)
    await trial.until(lambda: any(order.heard for order in orders))
    lines = [worker.database for worker in trial.stack.workers if worker.database]
    for line in lines:
        line.cut_after(1)
    trial.begins()
    await trial.until(lambda: trial.elapsed > 2.0)
    for line in lines:
        line.heal()
    trial.begins()
    await trial.judged(bound=12.0)
    assert sum(line.cuts for line in lines)


@pytest.mark.slow
async def test_row_34_a_postgres_that_takes_no_writes(trial: Trial) -> None:
    before = await warm(trial)
    await busy(trial)
    reload, is_read_only = "SELECT pg_reload_conf()", "default_transaction_read_only"
    await executed(trial, f"ALTER SYSTEM SET {is_read_only} = on", reload)
    try:
        await creates_are_refused(trial)
    finally:
        await executed(trial, f"SET {is_read_only} = off", f"ALTER SYSTEM SET {is_read_only} = off", reload)
    trial.begins()
    await trial.judged(bound=20.0)
    assert loaded(trial.stack) == before
    assert all(order.final and order.final["status"] == "succeeded" for order in trial.client.orders)


@pytest.mark.slow
async def test_row_35_a_database_restored_from_an_older_backup(trial: Trial) -> None:
    postgres, client = trial.stack.postgres, trial.client
    assert postgres
    await trial.started(2)
    await client.settled()
    await trial.until(trial.is_told_of_what_has_ended)
    kept = [await client.offer(tokens=3, seconds=0.3) for _ in range(6)]
    backup = await asyncio.to_thread(postgres.dump)
    lost = await client.offer()
    await trial.until(lambda: len(told_ids(trial, [*kept, lost])) == len(kept) + 1)
    before = told_ids(trial, kept)
    for service in trial.stack.services.values():
        service.kill()
    trial.stack.valkey.kill()
    trial.stack.valkey.forget()
    await asyncio.to_thread(postgres.restore, backup)
    trial.receiver.deliveries[:] = [each for each in trial.receiver.deliveries if name_of(each) not in before]
    await asyncio.to_thread(trial.stack.heal)
    trial.begins()
    client.adopt(kept)
    await trial.judged(bound=15.0)
    assert told_ids(trial, kept) == before
    assert await trial.status(trial.stack.apis[0], f"/v1/predictions/{lost.id}") == 404


@pytest.mark.slow
async def test_row_56_everything_killed_at_once_and_redis_empty(trial: Trial) -> None:
    assert trial.stack.postgres
    await busy(trial)
    for service in trial.stack.services.values():
        service.kill()
    trial.stack.valkey.kill()
    trial.stack.valkey.forget()
    trial.stack.postgres.kill()
    trial.begins()
    await asyncio.to_thread(trial.stack.heal)
    await trial.judged(bound=30.0)
