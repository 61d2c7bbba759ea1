"""The predictions that run now: begun while there is room, canceled, followed to their end, and then forgotten.

The model's process is kept by `model`; what a client hears of a prediction stands in `prediction`.
"""

import asyncio
import shutil
import sys
import tempfile
import traceback
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

from serving.files import Files
from serving.interface import Interface
from serving.model import Model
from serving.prediction import Prediction
from serving.webhooks import Webhooks
from serving.wish import Wish
from shared.errors import FileUnavailable, ModelBusy
from worker.events import Done
from worker.inputs import InputFiles
from worker.outputs import OutputFiles
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
        run = self._running[wish.id] = _Run(prediction, wish, process, interface, self._files, self._model.folder)
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
        self, prediction: Prediction, wish: Wish, process: ModelProcess, interface: Interface, files: Files, own: Path
    ) -> None:
        self.prediction = prediction
        self._process = process
        self._interface = interface
        self._context = wish.context
        self._inputs = InputFiles(files.download)
        headers = {"x-prediction-id": prediction.id, **wish.trace}
        self._outputs = OutputFiles(partial(files.store, headers), (own,), prediction.take, self._stop)
        self._given = interface.completed(prediction.input)
        self._wanted = interface.files(self._given)
        self._stay = process.stay(prediction.id)
        self._fetching: asyncio.Task[dict[str, str]] | None = None
        self._is_canceled = False

    def cancel(self) -> None:
        """Harmless at any time; what is done stays done."""
        self._is_canceled = True  # neither the fetching nor the model may have heard of it yet
        if self._fetching:
            self._fetching.cancel()
        self._stop()

    def _stop(self) -> bool:
        return self._process.cancel(self.prediction.id)

    async def carry_out(self) -> Done:
        try:
            if not self._wanted:
                return await self._run_model(self._given, [])
            folder = await asyncio.to_thread(_new_folder)
            try:
                return await self._run_with_files(folder)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        finally:
            await self._outputs.close()
            await self._stay.end()

    async def _run_with_files(self, folder: Path) -> Done:
        if self._is_canceled:
            return Done("canceled")
        self._fetching = asyncio.create_task(self._inputs.fetch(self._wanted, folder))
        await asyncio.wait({self._fetching})
        if self._fetching.cancelled():
            return Done("canceled")
        try:
            paths = self._fetching.result()
        except FileUnavailable as failure:
            return Done("failed", error=failure.message)
        return await self._run_model(self._interface.with_files(self._given, paths), list(paths))

    async def _run_model(self, given: dict[str, Any], files: list[str]) -> Done:
        if self._is_canceled:
            return Done("canceled")
        done = await self._process.predict(
            self.prediction.id, given, self._outputs.take, files=files, context=self._context
        )
        return await self._outputs.settled(done)


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="pinion-"))
