"""The predictions, or trainings, that run now: begun while there is room, canceled, followed to their end, forgotten.

The process of each comes from `model` or `training`; what a client hears of it stands in `prediction`.
"""

import asyncio
import shutil
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from serving.files import Files
from serving.interface import Interface
from serving.prediction import Prediction
from serving.webhooks import Webhooks
from serving.wish import Wish
from shared.errors import FileUnavailable, ModelBusy
from worker.events import Canceled, Done, Log, SetupFailed
from worker.inputs import InputFiles
from worker.interruption import Interruptible
from worker.outputs import OutputFiles
from worker.process import ModelProcess
from worker.shelf import Say

PATIENCE_SECONDS = 0.1
"""How long a prediction waits for a seat before it is refused. Clients of a busy server come again at once, and
refusing them a hundred times costs more than the prediction they wait behind."""


Opening = Callable[[Say], AbstractAsyncContextManager[ModelProcess]]
"""The process for one run, as long as it needs it; what is printed before it begins is told. Raises SetupFailed."""


class Runner(Protocol):
    """Where runs get their process: the one of the model, or one each."""

    folder: Path
    busy: str
    """What a client is told when there is no seat."""

    @property
    def concurrency(self) -> int: ...

    def ready(self) -> tuple[Opening, Interface]:
        """Raises ModelNotReady, or NotFound without a train()."""


class Runs:
    def __init__(self, runner: Runner, files: Files, webhooks: Webhooks, history_events: int) -> None:
        self._runner = runner
        self._files = files
        self._webhooks = webhooks
        self._history_events = history_events
        self._running: dict[str, _Run] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        return len(self._running) >= self._runner.concurrency

    def interface(self) -> Interface:
        """What they may be given; raises ModelNotReady, or NotFound without a train()."""
        return self._runner.ready()[1]

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
        opening, interface = self._runner.ready()
        if self.is_full or wish.id in self._running:
            raise ModelBusy(self._runner.busy)
        prediction = Prediction(wish, interface, self._history_events)
        run = self._running[wish.id] = _Run(prediction, wish, opening, interface, self._files, self._runner.folder)
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
    """One prediction on its way: a process for it, files in, the model, files out."""

    def __init__(
        self, prediction: Prediction, wish: Wish, opening: Opening, interface: Interface, files: Files, own: Path
    ) -> None:
        self.prediction = prediction
        self._opening = opening
        self._interface = interface
        self._context = wish.context
        self._inputs = InputFiles(files.download)
        self._interruptible = Interruptible()
        self.cancel = self._interruptible.interrupt
        headers = {"x-prediction-id": prediction.id, **wish.trace}
        self._outputs = OutputFiles(partial(files.store, headers), (own,), prediction.take, self.cancel)

    async def carry_out(self) -> Done:
        try:
            async with AsyncExitStack() as stack:
                return await self._run(stack)
        except SetupFailed as failure:
            return Done("failed", error=f"The training could not be set up: {failure.message}")
        except FileUnavailable as failure:
            return Done("failed", error=failure.message)
        except Canceled:
            return Done("canceled")

    async def _run(self, stack: AsyncExitStack) -> Done:
        async with self._interruptible.preparation():
            process = await stack.enter_async_context(self._opening(self._say))
            stack.push_async_callback(process.stay(self.prediction.id).end)
            stack.push_async_callback(self._outputs.close)
            given, files = await self._with_files(stack)
        with self._interruptible.stopped_by(lambda: process.cancel(self.prediction.id)):
            done = await process.predict(
                self.prediction.id, given, self._outputs.take, files=files, context=self._context
            )
        return await self._outputs.settled(done)

    async def _with_files(self, stack: AsyncExitStack) -> tuple[dict[str, Any], list[str]]:
        """The input with its files on this host until the end, and the names of those; FileUnavailable."""
        given = self._interface.completed(self.prediction.input)
        wanted = self._interface.files(given)
        if not wanted:
            return given, []
        folder = Path(tempfile.mkdtemp(prefix="pinion-"))  # so short: a thread would outlive a cancel, and leave it
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, ignore_errors=True)
        paths = await self._inputs.fetch(wanted, folder)
        return self._interface.with_files(given, paths), list(paths)

    def _say(self, text: str) -> None:
        self.prediction.take(Log(text))
