"""Row 57: faults picked at random, one after the other, while orders keep coming."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable

import pytest

from shared import crash
from shared.contract import Rerun
from tests.faults.service import Service
from tests.faults.stack import LEASE_SECONDS, MODEL
from tests.faults.trial import Trial

pytestmark = pytest.mark.slow

_PAUSE_SECONDS = (2.0, 8.0)
_LASTS_SECONDS = (0.5, 2.5 * LEASE_SECONDS)
_ORDERS_EVERY_SECONDS = 0.7
_TOKENS_MAX = 30
_API_POINTS = {"before_insert", "before_send", "before_answer"}
_SENDER_POINTS = {"before_post", "after_post", "after_note"}
Fault = Callable[[Trial, random.Random], Awaitable[None]]


def somebody(trial: Trial, dice: random.Random) -> Service:
    return dice.choice(list(trial.stack.services.values()))


async def kill(trial: Trial, dice: random.Random) -> None:
    somebody(trial, dice).kill()


async def stop(trial: Trial, dice: random.Random) -> None:
    somebody(trial, dice).signal(signal.SIGTERM)


async def freeze(trial: Trial, dice: random.Random) -> None:
    somebody(trial, dice).signal(signal.SIGSTOP)


async def crash_somewhere(trial: Trial, dice: random.Random) -> None:
    point = dice.choice(crash.POINTS)
    role = "api" if point in _API_POINTS else "deliver" if point in _SENDER_POINTS else "predict"
    dice.choice([each for each in trial.stack.services.values() if each.name.startswith(role)]).die_at(point)


async def cut_off(trial: Trial, dice: random.Random) -> None:
    line = dice.choice(somebody(trial, dice).lines())
    dice.choice((line.stall, line.swallow, line.reset, lambda: line.cut_after(dice.randrange(1, 2000))))()


async def slow_down(trial: Trial, dice: random.Random) -> None:
    for line in somebody(trial, dice).lines():
        line.delay(0.05)


async def empty_redis(trial: Trial, dice: random.Random) -> None:
    with trial.stack.valkey.client() as redis:
        redis.flushall()


async def kill_redis(trial: Trial, dice: random.Random) -> None:
    trial.stack.valkey.kill()


async def freeze_redis(trial: Trial, dice: random.Random) -> None:
    trial.stack.valkey.freeze()


async def stop_postgres(trial: Trial, dice: random.Random) -> None:
    if trial.stack.postgres:
        trial.stack.postgres.stop_at_once()


async def freeze_postgres(trial: Trial, dice: random.Random) -> None:
    if trial.stack.postgres:
        trial.stack.postgres.freeze()


async def kill_a_model(trial: Trial, dice: random.Random) -> None:
    if models := dice.choice(trial.stack.workers).models():
        models[0].kill()


async def say_what_runs_again(trial: Trial, dice: random.Random) -> None:
    """No fault, but it decides what the next ones do."""
    await asyncio.to_thread(trial.stack.command, "model", "rerun", MODEL, dice.choice(list(Rerun)))


FAULTS: tuple[Fault, ...] = (
    *(kill, stop, freeze, crash_somewhere, cut_off, slow_down, kill_a_model, say_what_runs_again),
    *(empty_redis, kill_redis, freeze_redis, stop_postgres, freeze_postgres),
)


async def test_row_57_faults_picked_at_random(trial: Trial, request: pytest.FixtureRequest) -> None:
    seconds = 60.0 * request.config.getoption("--soak-minutes")
    if not seconds:
        pytest.skip("it takes as long as --soak-minutes says")
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    done: list[str] = []
    trial.spares_models = False
    trial.begins()
    ordering = asyncio.create_task(keep_ordering(trial, dice))
    while trial.elapsed < seconds and not ordering.done():
        await asyncio.sleep(dice.uniform(*_PAUSE_SECONDS))
        fault = dice.choice(FAULTS)
        done.append(fault.__name__)
        print(f"{trial.elapsed:7.1f} {fault.__name__}", flush=True)
        await fault(trial, dice)
        await asyncio.sleep(dice.uniform(*_LASTS_SECONDS))
        await asyncio.to_thread(trial.stack.heal)
    ordering.cancel()
    await asyncio.gather(ordering, return_exceptions=True)
    await asyncio.to_thread(trial.stack.command, "model", "rerun", MODEL, Rerun.BEFORE_OUTPUT)
    trial.begins()
    again = sum(order.was_begun_again for order in trial.client.orders)
    print(f"seed {seed}: {len(done)} faults, {len(trial.client.orders)} orders, {again} streams begun again")
    await trial.judged(bound=30.0)


async def keep_ordering(trial: Trial, dice: random.Random) -> None:
    while True:
        order = trial.client.order(tokens=dice.randrange(_TOKENS_MAX), seconds=0.03)
        await asyncio.sleep(_ORDERS_EVERY_SECONDS)
        if dice.random() < 0.1 and order.id:
            await trial.client.cancel(order)
