"""From a model process's events to the outside: the live stream in a moment, the row and webhooks every half second.

Changes of status go through `lifecycle`; what the process does is not known here.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from shared import crash
from shared.contract import Status, WebhookEvent
from shared.lifecycle import Ending, Progress
from shared.live import Chunk
from worker.events import Done, Event, Log, Metric, Output
from worker.ledger import Ledger
from worker.metrics import apply
from worker.persistence import persistently
from worker.ticks import until_tick

_log = structlog.get_logger()


class Recorder:
    """What one attempt at one prediction has brought forth so far, and how much of it is out.

    `on_lost` is called when the row turns out to belong to somebody else by now.
    """

    def __init__(self, ledger: Ledger, row: Row[Any], interval: float, on_lost: Callable[[], object]) -> None:
        self._ledger = ledger
        self._row = row
        self._claimed = monotonic()
        self._interval = interval
        self._on_lost = on_lost
        self._items: list[Any] = []
        self._logs: list[str] = []
        self.metrics: dict[str, Any] = {}
        self._told = 0
        self._unsaved: set[WebhookEvent] = set()
        self._saves = 0
        self._saving: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    def take(self, event: Event) -> None:
        """Called by the process for each event, in order; never waits."""
        match event:
            case Output(value):
                self._items.append(value)
                self._unsaved.add(WebhookEvent.OUTPUT)
                if self._row.stream_token:
                    self._ledger.teller.soon(self._news, at_once=not self._told)
                crash.at("after_output")
            case Log(text):
                self._logs.append(text)
                self._unsaved.add(WebhookEvent.LOGS)
            case Metric():
                apply(self.metrics, event)
        if self._saving is None:
            self._saving = asyncio.create_task(self._save_regularly())

    async def finish(self, done: Done) -> None:
        """Everything out, then the terminal status; outlasts an outage of the database."""
        ending = self._ending(Status(done.status), done.error, await self.settled(done))
        crash.at("before_end")
        if not await persistently(lambda: self._ledger.finish(ending)):
            _log.warning("result discarded: not ours any more", prediction_id=self._row.id)
        crash.at("after_end")

    async def settled(self, done: Done) -> Progress:
        """All that it has brought forth, once everything is out and nothing more is saved."""
        self._ended.set()
        if self._row.stream_token and self._items:
            await self._ledger.teller.told(self._news)
        if self._saving:
            await self._saving
        if done.predict_time is not None:
            self.metrics["predict_time"] = done.predict_time
        is_list = self._row.stream_token and (self._items or done.status == "succeeded")
        return self._progress(self._items if is_list else done.output)

    def given_up(self, error: str) -> Ending:
        """Save no more; a failure with what there is until now."""
        self._ended.set()
        return self._ending(Status.FAILED, error, self._progress(self._items or None))

    def _ending(self, status: Status, error: str | None, progress: Progress) -> Ending:
        # By the database's clock, from which the claim has its moment; asking again would cost a round trip.
        completed_at = self._row.started_at + timedelta(seconds=monotonic() - self._claimed)
        return Ending(self._row, status, error, progress, completed_at)

    def _progress(self, output: Any) -> Progress:
        return Progress(self._row.id, self._row.attempt, output, "".join(self._logs), self.metrics)

    def _news(self) -> Chunk | None:
        """What the stream has not been told."""
        news = self._items[self._told :]
        begin, self._told = self._told, len(self._items)
        return Chunk(self._row.id, self._row.attempt, begin, news) if news else None

    async def _save_regularly(self) -> None:
        wait = self._interval  # whoever ends before that needs no save
        while not await self._ended_within(wait + until_tick(self._interval)):
            wait = 0.0
            news, self._unsaved = self._unsaved, set()
            if news:
                await self._save(self._event(news))

    def _event(self, news: set[WebhookEvent]) -> WebhookEvent:
        """One message for both kinds of news: whichever the receiver asked for, output first."""
        wanted = [event for event in (WebhookEvent.OUTPUT, WebhookEvent.LOGS) if event in news]
        return next((event for event in wanted if event in self._row.webhook_events), wanted[0])

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._ended.wait()
        except TimeoutError:
            return False

    async def _save(self, event: WebhookEvent) -> None:
        self._saves += 1
        try:
            is_mine = await self._ledger.save((self._progress(self._items or None), event, self._saves))
        except (SQLAlchemyError, OSError) as error:  # the next save, or the end, holds everything
            _log.warning("progress not saved", prediction_id=self._row.id, error=type(error).__name__)
            return
        if not is_mine and not self._ended.is_set():  # afterwards it may be the next attempt that runs
            self._on_lost()
