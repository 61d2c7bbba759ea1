"""Webhooks of running predictions, one lane each: one request in flight, `completed` last.

A receiver is never waited for by anything but its own lane. Nothing survives the end of the server.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from serving.outside import Outside
from serving.prediction import Prediction
from serving.wish import Wish
from shared.errors import AddressBlocked, OutboundError
from shared.tasks import end

_RETRIES = 12
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 60.0
_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_TOTAL = timedelta(seconds=30)
_FAREWELL_SECONDS = 5.0
"""How long a stopping server waits for its last webhooks."""


class Webhooks:
    """All lanes of one server."""

    def __init__(self, outside: Outside, interval: timedelta, token: str) -> None:
        self._outside = outside
        self._interval = interval.total_seconds()
        self._headers = {"content-type": "application/json", "user-agent": "Pinion/0.1"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._lanes: set[asyncio.Task[None]] = set()

    def follow(self, prediction: Prediction, wish: Wish) -> None:
        """Tell the receiver that the wish names, if it names one."""
        if wish.webhook is not None:
            lane = _Lane(self._outside, prediction, wish, self._interval, {**self._headers, **wish.trace})
            task = asyncio.create_task(lane.work())
            self._lanes.add(task)
            task.add_done_callback(self._lanes.discard)

    async def close(self) -> None:
        """To be called when no prediction runs any more."""
        if self._lanes:
            await asyncio.wait(self._lanes, timeout=_FAREWELL_SECONDS)
        await end(*self._lanes)


class _Lane:
    def __init__(
        self, outside: Outside, prediction: Prediction, wish: Wish, interval: float, headers: Mapping[str, str]
    ) -> None:
        self._outside = outside
        self._prediction = prediction
        self._url = wish.webhook or ""
        self._wanted = wish.webhook_events
        self._interval = interval
        self._headers = headers
        self._told = (0, 0)
        self._start = _body(prediction)

    async def work(self) -> None:
        if "start" in self._wanted:
            await self._send(self._start)
        while not await self._ends_within(self._interval):
            if self._is_news:
                self._told = self._prediction.outputs, self._prediction.prints
                await self._send(_body(self._prediction))
            else:
                await self._prediction.history.news()
        if "completed" in self._wanted:
            await self._send_persistently(_body(self._prediction))

    @property
    def _is_news(self) -> bool:
        outputs, prints = self._told
        has_output = "output" in self._wanted and self._prediction.outputs > outputs
        return has_output or ("logs" in self._wanted and self._prediction.prints > prints)

    async def _ends_within(self, seconds: float) -> bool:
        await asyncio.wait({self._prediction.ended}, timeout=seconds)
        return self._prediction.ended.done()

    async def _send_persistently(self, body: bytes) -> None:
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_RETRIES):
            if not await self._send(body):
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        await self._send(body)

    async def _send(self, body: bytes) -> bool:
        """Whether another attempt could help."""
        client = await self._outside.client()
        from worker.outbound import post  # loaded with the client

        try:
            answer = await post(client, self._url, body, self._headers, total=_TOTAL)
        except AddressBlocked:
            return False
        except OutboundError:
            return True
        return answer.status in _RETRIED_STATUSES


def _body(prediction: Prediction) -> bytes:
    return msgspec.json.encode({name: value for name, value in prediction.rendered().items() if value is not None})
