"""The predictions that run now: begun while there is room, canceled, followed to their end, and then forgotten.

The model's process is kept by `model`; what a client hears of a prediction stands in `prediction`.
"""

import asyncio
import sys
import traceback
from collections import deque
from pathlib import Path
from typing import Any

from serving.files import Files, holds_file, new_folder, remove, remove_made_since
from serving.interface import Interface
from serving.model import Model
from serving.prediction import Prediction
from serving.webhooks import Webhooks
from serving.wish import Wish
from shared.errors import FileUnavailable, ModelBusy
from worker.events import Done, Event, Output
from worker.process import ModelProcess

PATIENCE_SECONDS = 0.1
"""How long a prediction waits for a seat before it is refused. Clients of a busy server come again at once, and
refusing them a hundred times costs more than the prediction they wait behind."""


class Runs:
    def __init__(self, model: Model, files: Files, webhooks: Webhooks, history_events: int) -> None:
        self._model = model
        self._files = files
        self._webhooks = webhooks
        self._history_events = history_events
        self._running: dict[str, _Run] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        return len(self._running) >= self._model.concurrency

    def find(self, prediction_id: str) -> Prediction | None:
        run = self._running.get(prediction_id)
        return run.prediction if run else None

    async def begin(self, wish: Wish) -> Prediction:
        """Raises ModelNotReady or ModelBusy. The seat is free again before anybody hears of the end."""
        await self._room()
        try:
            return self._begin(wish)
        finally:
            self._offer_seat()

    async def _room(self) -> None:
        """Returns when there is a free seat and nobody was here before, or when patience is at its end."""
        if not self.is_full and not self._waiting:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn
        except TimeoutError:
            pass
        finally:
            self._waiting.remove(turn)

    def _offer_seat(self) -> None:
        """To whoever waits longest; who is called stays in the line until it has sat down."""
        if not self.is_full:
            turn = next((turn for turn in self._waiting if not turn.done()), None)
            if turn:
                turn.set_result(None)

    def _begin(self, wish: Wish) -> Prediction:
        process, interface = self._model.ready()
        if self.is_full or wish.id in self._running:
            raise ModelBusy
        prediction = Prediction(wish, interface, is_iterator=process.is_iterator, history_events=self._history_events)
        run = self._running[wish.id] = _Run(prediction, wish, process, interface, self._files)
        self._webhooks.follow(prediction, wish)
        task = asyncio.create_task(self._carry_out(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return prediction

    def cancel(self, prediction_id: str) -> bool:
        """Whether it was running."""
        run = self._running.get(prediction_id)
        if run:
            run.cancel()
        return run is not None

    def cancel_all(self) -> None:
        for run in self._running.values():
            run.cancel()

    async def drain(self) -> None:
        """Wait for all of them."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _carry_out(self, run: "_Run") -> None:
        try:
            done = await run.carry_out()
        except Exception as error:  # ours, and nobody's prediction may hang because of it
            traceback.print_exc(file=sys.stderr)
            done = Done("failed", error=f"The server failed to run this prediction: {error!r}")
        del self._running[run.prediction.id]
        self._offer_seat()
        run.prediction.finish(done)


class _Run:
    """One prediction on its way: files in, the model, files out."""

    def __init__(
        self, prediction: Prediction, wish: Wish, process: ModelProcess, interface: Interface, files: Files
    ) -> None:
        self.prediction = prediction
        self._process = process
        self._files = files
        self._headers = {"x-prediction-id": prediction.id, **wish.trace}
        self._context = wish.context
        self._interface = interface
        self._fetching: asyncio.Task[dict[str, str]] | None = None
        self._backlog: deque[Event] = deque()
        self._storing: asyncio.Task[None] | None = None
        self._failure: FileUnavailable | None = None
        self._originals: set[Path] = set()

    def cancel(self) -> None:
        """Harmless at any time; what is done stays done."""
        if self._fetching:
            self._fetching.cancel()
        self._process.cancel(self.prediction.id)

    async def carry_out(self) -> Done:
        given = self.prediction.input
        wanted = self._interface.files(given)
        if not wanted:
            return await self._run_model(given, [])
        folder = await asyncio.to_thread(new_folder)
        try:
            self._fetching = asyncio.create_task(self._files.fetch(wanted, folder))
            await asyncio.wait({self._fetching})
            if self._fetching.cancelled():
                return Done("canceled")
            return await self._run_model(self._interface.with_files(given, self._fetching.result()), list(wanted))
        except FileUnavailable as failure:
            return Done("failed", error=failure.message)
        finally:
            await asyncio.to_thread(remove, folder)

    async def _run_model(self, given: dict[str, Any], files: list[str]) -> Done:
        done = await self._process.predict(self.prediction.id, given, self._take, files=files, context=self._context)
        if self._storing:
            await self._storing
        try:
            if self._failure:
                raise self._failure
            return await self._with_files_stored(done)
        except FileUnavailable as failure:
            return Done("failed", error=failure.message)
        finally:  # not sooner: a model may name a file twice
            if self._originals:
                await asyncio.to_thread(remove_made_since, self.prediction.started_at, self._originals)

    async def _with_files_stored(self, done: Done) -> Done:
        if not holds_file(done.output):
            return done
        output = await self._files.store(done.output, self._originals, self._headers)
        return Done(done.status, output, done.error, done.predict_time)

    def _take(self, event: Event) -> None:
        """What comes behind an output that is being stored waits for it, so that the order is kept."""
        if self._storing is None and not (isinstance(event, Output) and holds_file(event.value)):
            self.prediction.take(event)
            return
        self._backlog.append(event)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_backlog())

    async def _store_backlog(self) -> None:
        try:
            while self._backlog:
                self.prediction.take(await self._with_url(self._backlog.popleft()))
        except FileUnavailable as failure:
            self._failure = failure
            self._process.cancel(self.prediction.id)
            return  # `_storing` stays: nothing more is taken
        self._storing = None

    async def _with_url(self, event: Event) -> Event:
        if isinstance(event, Output) and holds_file(event.value):
            return Output(await self._files.store(event.value, self._originals, self._headers))
        return event
