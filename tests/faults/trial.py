"""One fault: predictions under way, something breaks, is healed, and everything that must hold is judged.

What breaks stands in the tests.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import httpx
from sqlalchemy import func, select

from shared.database import Database
from shared.invariants import Look, broken
from shared.queue import open_redis
from shared.settings import Settings
from shared.tables import Prediction
from tests.database_fixtures import until
from tests.faults.canary import SECRETS, leaks, told_by_apis, told_by_services, told_to
from tests.faults.checks import violations
from tests.faults.client import Client
from tests.faults.history import Order
from tests.faults.holdings import leaked_connections
from tests.faults.pulse import Pulse, feeling
from tests.faults.seen import Seen, first_starts
from tests.faults.service import Service
from tests.faults.stack import LEASE_SECONDS, TOKEN, Stack
from tests.faults.strangers import told_to_stranger
from tests.receiver import Receiver

_QUIET_SECONDS = 180.0
_SINCE_SECONDS = 3600.0
_GRACE_SECONDS = 3.0
_ANSWER_SECONDS = 40.0
_CLOSE_SECONDS = 10.0
"""In which what broke is given back."""


@dataclass
class Trial:
    """`measured` is the time from `broken` or `mended` until everything had ended and been told."""

    stack: Stack
    client: Client
    receiver: Receiver
    database: Database
    pulse: Pulse
    _count_before: int
    spares_models: bool = True
    """Whether nothing is done here to models, nor to predictions in a way that ends one."""
    guests: list[Client] = field(default_factory=list)
    """Of other accounts."""
    bound: float = 0.0
    measured: float = 0.0
    _since: float = field(default_factory=monotonic)

    def invites(self, token: str) -> Client:
        """A client of another account, whose orders are judged as well."""
        self.guests.append(Client(self.stack.apis, self.stack.version, self.receiver.url, token))
        return self.guests[-1]

    def begins(self) -> None:
        """From now on the time counts: something has just been broken, or has just been mended."""
        self._since = monotonic()
        self.stack.holdings.note(self.stack.services.values())

    @property
    def elapsed(self) -> float:
        return monotonic() - self._since

    async def started(self, number: int = 1, **input: Any) -> list[Order]:
        """Orders that are accepted."""
        orders = self.client.orders_many(number, **input)
        await self.until(lambda: all(order.id for order in orders))
        return orders

    async def running(self, **input: Any) -> Order:
        """An order whose first token was heard."""
        [order] = await self.started(**input)
        await self.until(lambda: order.heard)
        return order

    async def ordering(self, enough: Callable[[], Any], every_seconds: float = 0.2, **input: Any) -> list[Order]:
        """Order after order, until it is enough."""
        orders = []
        deadline = monotonic() + _QUIET_SECONDS
        while not enough():
            assert monotonic() < deadline, f"it was never enough: {len(orders)} orders"
            orders.append(self.client.order(**input))
            await asyncio.sleep(every_seconds)
        return orders

    async def crashed(self, service: Service, point: str, times: int = 1, **input: Any) -> list[Order]:
        """Orders come until the service has died at a point of its work."""
        service.die_at(point, times)
        orders = await self.ordering(lambda: not service.is_up, **input)
        self.begins()
        return orders

    async def crowded(self, condition: Callable[[], Any], seconds: float) -> None:
        """The condition becomes true in a time that is longer where others need the machine as well."""
        await self.until(condition, seconds * crowding())

    async def status(self, api: Service, path: str) -> int:
        """What an API answers there, however long it takes."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS) as http:
            return (await http.get(f"{api.address}{path}", headers=headers)).status_code

    @property
    def clients(self) -> list[Client]:
        return [self.client, *self.guests]

    async def judged(self, bound: float) -> None:
        """Everything ends and is told within the bound, and whatever must hold does."""
        async with asyncio.timeout(_QUIET_SECONDS):
            for client in self.clients:
                await client.settled()
            await self.until(self.is_told_of_what_has_ended, _QUIET_SECONDS)
        self.bound, self.measured = bound, self.elapsed
        await asyncio.to_thread(self.stack.heal)
        look = Look(self.database, _SINCE_SECONDS, LEASE_SECONDS, _GRACE_SECONDS)
        await self._becomes_well(partial(broken, look), _QUIET_SECONDS / 4)
        ordered = sum(len(client.orders) for client in self.clients)
        assert await _count(self.database) - self._count_before == ordered, "I5: one prediction for each order"
        for client in self.clients:
            found = violations(await self._seen_by(client))
            assert not found, "\n".join(found)
        await self._services_hold()
        allowed = bound * crowding()
        assert self.measured <= allowed, f"it took {self.measured:.1f} s, and may take {allowed:.1f} s"

    async def _seen_by(self, client: Client) -> Seen:
        now = {order.id or "": await client.prediction(order.id or "") for order in client.orders}
        starts = await first_starts(self.database, list(now))
        return Seen(client.orders, list(self.receiver.deliveries), await client.secret(), now, starts)

    async def _services_hold(self) -> None:
        """None was silent, has lost a model, has told a secret, tells a stranger anything or holds more and more."""
        found = [*self.pulse.missed(crowding()), *leaks(await self._told(), SECRETS)]
        services = self.stack.services.values()
        if not self.spares_models:
            self.stack.holdings.forget_models()
        found += self.stack.holdings.lost_models(services)
        found += await told_to_stranger(self.stack.stranger, self.stack.apis, self.client.orders)
        assert not found, "\n".join(found)
        await self._becomes_well(self._leaks, _CLOSE_SECONDS)

    async def _leaks(self) -> list[str]:
        services = self.stack.services.values()
        found = list(self.stack.holdings.leaked_descriptors(services))
        if self.stack.postgres:
            found += await leaked_connections(self.database, len(services), Settings().database_pool)
        return found

    async def _told(self) -> dict[str, str]:
        """By services, to clients and to their receiver."""
        told = await asyncio.to_thread(told_by_services, self.stack)
        told |= await told_by_apis(self.stack.apis, self.client.orders)
        for client in self.clients:
            told |= told_to(*client.orders)
        bodies = "".join(delivery.body.decode() for delivery in self.receiver.deliveries)
        return {**told, "a webhook message": bodies}

    async def until(self, condition: Callable[[], Any | Awaitable[Any]], seconds: float = 30.0) -> Any:
        """What the condition answers, once that is true."""
        return await until(condition, seconds)

    def is_told_of_what_has_ended(self) -> bool:
        """Whether the receiver has heard of the end of all that clients have seen ended."""
        told = {delivery.path.rpartition("/")[2] for delivery in self.receiver.deliveries if delivery.tells_an_end}
        return {order.name for client in self.clients for order in client.orders if order.final} <= told

    async def _becomes_well(self, look: Callable[[], Awaitable[Sequence[object]]], seconds: float) -> None:
        """What a repair needs a moment for has that moment."""
        deadline = monotonic() + seconds
        while found := await look():
            assert monotonic() < deadline, [str(each) for each in found]
            await asyncio.sleep(0.2)


@asynccontextmanager
async def trying(stack: Stack, receiver: Receiver) -> AsyncIterator[Trial]:
    """On a whole stack; it is whole again afterwards."""
    redis_url = f"redis://127.0.0.1:{stack.valkey.port}"
    settings = Settings(home=stack.home, database_url=stack.database_url, redis_url=redis_url)
    database = Database(settings, open_redis(redis_url))
    client = Client(stack.apis, stack.version, receiver.url)
    try:
        with feeling(stack.apis) as pulse:
            trial = Trial(stack, client, receiver, database, pulse, await _count(database))
            trial.begins()
            yield trial
    finally:
        await asyncio.to_thread(stack.heal)
        for client in trial.clients:
            await client.close()
        await database.redis.aclose()
        await database.close()


async def _count(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(Prediction))).scalar_one())


def crowding() -> float:
    """By how much everything takes longer here than on a machine of our own."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
