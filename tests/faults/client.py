"""A client as they should be: it asks again under the same key, resumes its streams, and records whatever it is told.

It stands in for a load balancer, too: what one API does not answer it asks of the other.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count, cycle
from time import monotonic, time
from typing import Any, Protocol

import httpx

from shared.ids import new_id
from tests.acceptance.events import Event, read
from tests.faults.history import ENDS, REFUSALS, Answer, Order
from tests.faults.stack import SECRET_INPUT, TOKEN
from tests.receiver import TERMINAL

_ANSWER_SECONDS = 4.0
_PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 0.1


class Door(Protocol):
    """Where an API is."""

    name: str

    @property
    def address(self) -> str: ...


@dataclass
class Client:
    """Its orders are all that were made; its tasks follow them."""

    apis: Sequence[Door]
    version: str
    webhook: str
    token: str = TOKEN
    filters: Iterator[Sequence[str] | None] = field(default_factory=lambda: cycle((None, ENDS)))
    """Which events receivers want, by turns: an end of which alone one wants to hear is written in another way."""
    orders: list[Order] = field(default_factory=list)
    _http: httpx.AsyncClient = field(default_factory=lambda: _open())
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _turn: "count[int]" = field(default_factory=count)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    def order(self, **input: Any) -> Order:
        """Ask for a prediction and follow it, beside whatever else happens."""
        order = self._new(input)
        self.orders.append(order)
        self._begin(self._serve(order))
        return order

    def orders_many(self, number: int, **input: Any) -> list[Order]:
        return [self.order(**input) for _ in range(number)]

    async def offer(self, **input: Any) -> Order:
        """Ask once, whatever the answer is; what is accepted is followed by nobody until it is adopted."""
        order = self._new(input)
        order.tries.append(await self._place(order, self._next()))
        if order.tries[-1].status == 201:
            self._accept(order)
        return order

    def adopt(self, orders: Iterable[Order]) -> None:
        """Follow what was accepted to its end."""
        for order in orders:
            self.orders.append(order)
            self._begin(self._attend(order))

    async def settled(self) -> None:
        """Everything ordered has ended and been heard to its end."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def cancel(self, order: Order) -> None:
        """Until it is acknowledged."""

        async def ask(api: str) -> Answer:
            return await self._ask("POST", f"{api}/v1/predictions/{order.id}/cancel")

        answer = await self._persist(ask, order.cancels, {200})
        order.canceled_at = order.canceled_at or time()
        if answer.body["status"] in TERMINAL:
            order.final = order.final or answer.body

    async def prediction(self, prediction_id: str) -> dict[str, Any]:
        """As some API shows it now."""

        async def ask(api: str) -> Answer:
            return await self._ask("GET", f"{api}/v1/predictions/{prediction_id}")

        return dict((await self._persist(ask, [], {200})).body)

    async def create(self, order: Order) -> None:
        """Accepted when this returns."""
        await self._persist(partial(self._place, order), order.tries, {201})
        self._accept(order)
        for api in self.apis:
            if (await self._ask("GET", f"{api.address}/v1/predictions/{order.id}")).status == 404:
                order.unseen_by.append(api.name)

    async def secret(self) -> str:
        """With which webhooks of the account are signed."""

        async def ask(api: str) -> Answer:
            return await self._ask("GET", f"{api}/v1/webhooks/default/secret")

        return str((await self._persist(ask, [], {200})).body["key"])

    async def _place(self, order: Order, api: str) -> Answer:
        body = {"version": self.version, "input": {"name": order.name, "password": SECRET_INPUT, **order.input}}
        body |= {"webhook": f"{self.webhook}/{order.name}"}
        body |= {"webhook_events_filter": list(order.events)} if order.events else {}
        return await self._ask("POST", f"{api}/v1/predictions", json=body, key=order.name)

    def _new(self, input: dict[str, Any]) -> Order:
        return Order(new_id(), input, next(self.filters))

    def _accept(self, order: Order) -> None:
        order.id, order.accepted_at = order.tries[-1].body["id"], monotonic()

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, order: Order) -> None:
        await self.create(order)
        await self._attend(order)

    async def _attend(self, order: Order) -> None:
        await asyncio.gather(self._follow(order), self._watch(order))

    async def _watch(self, order: Order) -> None:
        while True:
            row = await self.prediction(order.id or "")
            if row["status"] in TERMINAL:
                order.final = row
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _follow(self, order: Order) -> None:
        path = order.tries[-1].body["urls"]["stream"].partition("/v1/")[2]
        deadline = monotonic() + _PATIENCE_SECONDS
        while not order.is_done:
            assert monotonic() < deadline, f"the stream of {order.id} did not end: {order.heard[-3:]}"
            order.connections += 1
            with suppress(httpx.TransportError):
                await self._listen(order, f"{self._next()}/v1/{path}")
            if not order.is_done:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _listen(self, order: Order, url: str) -> None:
        headers = {"Last-Event-ID": order.heard[-1].id} if order.heard else {}
        timeout = httpx.Timeout(_ANSWER_SECONDS, read=10.0)
        async with self._http.stream("GET", url, headers=headers, timeout=timeout) as response:
            if response.status_code != 200:
                assert response.status_code == 503, await response.aread()
                return
            async for event in _events(response.aiter_bytes()):
                if order.is_done:
                    order.heard_after_done.append(event)
                    continue
                order.heard.append(event)
                if event.name == "done":
                    order.status_at_done = (await self.prediction(order.id or ""))["status"]

    async def _persist(self, ask: Callable[[str], Awaitable[Answer]], tries: list[Answer], wanted: set[int]) -> Answer:
        deadline = monotonic() + _PATIENCE_SECONDS
        while True:
            answer = await ask(self._next())
            tries.append(answer)
            if answer.status in wanted:
                return answer
            # Refused for now, or not answered at all; anything else is no answer to a fault.
            assert answer.status in (None, *REFUSALS), answer
            assert monotonic() < deadline, f"not served in {_PATIENCE_SECONDS} s: {answer}"
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _ask(self, method: str, url: str, *, json: Any = None, key: str | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        began = monotonic()
        try:
            got = await self._http.request(method, url, headers=headers, json=json)
        except httpx.TransportError:
            return Answer(url, None, monotonic() - began)
        return Answer(url, got.status_code, monotonic() - began, got.json(), got.headers.get("Retry-After"))

    def _next(self) -> str:
        return self.apis[next(self._turn) % len(self.apis)].address


def _open() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=_ANSWER_SECONDS, limits=httpx.Limits(max_connections=None))


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    rest = b""
    async for piece in pieces:
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            if not block.startswith(b":"):
                yield read(block.decode())
