"""Rows 54 and 55: ten times as much is asked for as can be done, and one account wants far more than its share."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from time import monotonic, time

import pytest

from tests.faults.checks import refusals_say_when_to_come_again
from tests.faults.client import Client
from tests.faults.history import Order
from tests.faults.seen import Seen
from tests.faults.stack import Stack
from tests.faults.trial import Trial, crowding

pytestmark = pytest.mark.slow

_ROOM, _TIMES, _SECONDS = 20, 10, 8
_REFUSED_SECONDS = 0.1
_GOODPUT = 0.9
_WAITS_LONGER = 2.0
_ACT = {"tokens": 1, "seconds": 0.1}


@pytest.fixture(scope="module")
def neighbour(stack: Stack) -> str:
    """The token of another account."""
    stack.command("account", "create", "neighbour")
    return stack.command("token", "create", "neighbour").stdout.strip()


@pytest.fixture
def little_room(stack: Stack) -> Iterator[None]:
    """No more than so many predictions may wait for a model."""
    with ExitStack() as told:
        for api in stack.apis:
            told.enter_context(api.told(PINION_MODEL_BACKLOG_MAX=str(_ROOM)))
            api.kill()
        stack.heal()
        yield
    for api in stack.apis:
        api.kill()
    stack.heal()


async def offered(client: Client, number: int, every_seconds: float) -> list[Order]:
    """Orders at that rate, whether or not those before were answered."""
    began = monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for place in range(number):
            await asyncio.sleep(began + place * every_seconds - monotonic())
            tasks.append(group.create_task(client.offer(**_ACT)))
    return [task.result() for task in tasks]


async def ended(client: Client, orders: list[Order]) -> list[Order]:
    client.adopt(orders)
    await client.settled()
    return orders


async def capacity(trial: Trial) -> float:
    """Predictions that end in a second while there is always another one."""
    orders = await ended(trial.client, await offered(trial.client, _ROOM, 0.0))
    started, over = (sorted(order.moment(name) for order in orders) for name in ("started_at", "completed_at"))
    return len(orders) / (over[-1] - started[0])


async def waits(client: Client, number: int) -> list[float]:
    """Seconds from creation to the end, of one order after the other."""
    orders = [order for _ in range(number) for order in await ended(client, await offered(client, 1, 0.0))]
    return [order.moment("completed_at") - order.moment("created_at") for order in orders]


async def test_row_54_ten_times_as_much_as_can_be_done(trial: Trial, neighbour: str, little_room: None) -> None:
    guest = trial.invites(neighbour)
    can = await capacity(trial)
    begin, every_seconds = time(), 1 / (can * _TIMES)
    flood = asyncio.create_task(offered(trial.client, round(_SECONDS / every_seconds), every_seconds))
    waited = [seconds for _ in range(_SECONDS // 2) for seconds in await waits(guest, 1)]
    answers = await flood
    trial.begins()
    accepted, refused = ([order for order in answers if bool(order.id) is is_in] for is_in in (True, False))
    assert len(refused) > len(accepted)
    assert not list(refusals_say_when_to_come_again(Seen(refused)))
    assert quantiles([order.tries[0].seconds for order in refused], n=20)[-1] < _REFUSED_SECONDS * crowding()
    trial.client.adopt(accepted)
    await trial.judged(bound=10.0)
    done = sum(order.moment("completed_at") <= begin + _SECONDS for order in accepted) + len(waited)
    assert done / _SECONDS >= _GOODPUT * can / crowding()


async def test_row_55_an_account_that_floods_a_model(trial: Trial, neighbour: str) -> None:
    guest = trial.invites(neighbour)
    await trial.started(2)
    await trial.client.settled()
    alone = median(await waits(guest, 5))
    flood = await offered(trial.client, 3 * _ROOM, 0.0)
    beside, over = median(await waits(guest, 5)), time()
    trial.begins()
    trial.client.adopt(flood)
    await trial.judged(bound=15.0)
    assert max(order.moment("completed_at") for order in flood) > over, "the flood was too short"
    assert beside <= _WAITS_LONGER * alone * crowding(), (alone, beside)
