"""Runs predictions on an event loop in the main thread, for models whose predict() is async.

Up to `concurrency` of them at once, each in a task with a context of its own; more wait in the inbox.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import suppress
from functools import partial
from typing import Any, AsyncIterator, Awaitable, Iterable

from cog.scope import Scope, running
from pinion_runtime import logs
from pinion_runtime.answering import Outcome, conclude, failure, metric, output_heads
from pinion_runtime.concurrency import lowered_by_setup
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter, compose
from pinion_runtime.health import HealthCheck
from pinion_runtime.inputs import arguments_of
from pinion_runtime.loading import Model
from pinion_runtime.outputs import encode, holds_file
from pinion_runtime.routing import Printed, printing
from pinion_runtime.temporary import TemporaryFolder


class AsyncServing:
    def __init__(self, model: Model, control: Control, writer: FrameWriter, concurrency: int) -> None:
        self._model = model
        self._control = control
        self._writer = writer
        self.concurrency = concurrency
        self._temporary = TemporaryFolder()
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # a setup() that is not async may ask for it
        self._tasks: dict[Prediction, asyncio.Task[Outcome]] = {}
        self._handovers: dict[Prediction, asyncio.Future[None]] = {}  # of those whose files are being stored
        self._is_open = True
        control.ask_health = HealthCheck(model.healthcheck, self._awaited, writer).ask

    def set_up(self) -> None:
        pending = self._model.setup()
        if inspect.isawaitable(pending):
            self._loop.run_until_complete(pending)
        self.concurrency = lowered_by_setup(self._model, self.concurrency)

    def serve(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._is_over = self._loop.create_future()
        self._control.on_arrival = lambda: _quietly(self._loop, self._take)
        self._control.interrupt = lambda prediction: _quietly(self._loop, self._interrupt, prediction)
        self._control.go_on = lambda prediction: _quietly(self._loop, self._go_on, prediction)
        self._take()  # what arrived during setup
        await self._is_over

    def _take(self) -> None:
        """A callback rather than a task that waits: each turn of the loop costs a system call."""
        while self._is_open and len(self._tasks) < self.concurrency and not self._control.inbox.empty():
            prediction = self._control.inbox.get_nowait()
            if prediction is None:
                self._is_open = False
            else:
                self._begin(prediction)
        if not self._is_open and not self._tasks and not self._is_over.done():
            self._is_over.set_result(None)

    def _begin(self, prediction: Prediction) -> None:
        # Alone, a prediction owns all that the process prints, and the pipe keeps it in order with what C code prints.
        printed = Printed(self._writer, prediction.id) if self.concurrency > 1 else None
        task = self._tasks[prediction] = self._loop.create_task(self._run(prediction, printed))
        task.add_done_callback(partial(self._end, prediction, printed, time.perf_counter()))
        if prediction.is_cancel_requested:
            self._interrupt(prediction)

    def _end(self, prediction: Prediction, printed: Printed | None, began: float, task: asyncio.Task[Outcome]) -> None:
        outcome = Outcome("canceled") if task.cancelled() else task.result()  # canceled: before its first step
        if printed:
            printed.end()
        del self._tasks[prediction]
        self._control.forget(prediction)
        conclude(self._writer, prediction, outcome, began)
        self._take()

    def _interrupt(self, prediction: Prediction) -> None:
        task = self._tasks.get(prediction)
        if task is not None and not task.done() and not prediction.is_interrupted:
            prediction.is_interrupted = True
            task.cancel()
            self._writer.write(compose("interrupted", {"id": prediction.id}))

    async def _run(self, prediction: Prediction, printed: Printed | None) -> Outcome:
        def record(name: str, value: Any, mode: str) -> None:
            self._writer.write(metric(prediction.id, name, value, mode))

        running.set(Scope(record, prediction.context))  # a task has a context of its own
        if printed:
            printing.set(printed)
        try:
            if self.concurrency == 1:  # beside others there is one folder for all: tempfile knows no contexts
                self._temporary.open()
            output = await self._predict(prediction, printed)
        except BaseException as error:  # user code: also SystemExit must not end the process
            return Outcome("canceled") if prediction.is_interrupted else failure(error, self._model, prediction)
        finally:
            prediction.left = self._temporary.close()
            if printed:
                logs.flush()  # here, where it is known whose it is: a model may have wrapped the streams
        return Outcome("canceled") if prediction.is_interrupted else Outcome("succeeded", output)

    def _awaited(self, pending: Awaitable[Any]) -> Any:
        """From another thread."""

        async def wait() -> Any:
            return await pending

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()

    async def _predict(self, prediction: Prediction, printed: Printed | None) -> str:
        arguments = arguments_of(self._model.signature, prediction.input, prediction.files)
        result: Any = self._model.predict(**arguments)
        if inspect.isawaitable(result):
            result = await result
        if not self._model.signature.is_iterator:
            return encode([item async for item in result] if isinstance(result, AsyncIterator) else result)
        try:
            items = result if hasattr(result, "__aiter__") else _one_by_one(result)
            await self._stream(prediction, items, printed)
        finally:
            await _close(result)
        return "null"

    async def _stream(self, prediction: Prediction, items: AsyncIterator[Any], printed: Printed | None) -> None:
        heads = output_heads(prediction)
        async for item in items:
            if prediction.is_cancel_requested:  # swallowed, or never heard because the model awaits nothing
                prediction.is_interrupted = True
                return
            encoded = encode(item)
            if printed:
                printed.flush()
            waits = holds_file(encoded)
            line = f"{heads[waits]}{encoded}}}"
            if waits:
                await _unless_canceled(self._hand_over(prediction, line), items)
            elif len(self._tasks) > 1:
                await _unless_canceled(self._say_together(line), items)
            else:
                self._writer.write(line)

    async def _say_together(self, line: str) -> None:
        """With what others say in this turn of the loop: the parent is woken once, and takes a core from us once."""
        if self._writer.hold(line):
            self._loop.call_soon(self._writer.flush)
        await asyncio.sleep(0)  # until it is written: who knows for how long the model keeps the loop then

    async def _hand_over(self, prediction: Prediction, line: str) -> None:
        """Returns when what it names is stored."""
        self._handovers[prediction] = self._loop.create_future()
        self._writer.write(line)
        try:
            await self._handovers[prediction]
        finally:
            del self._handovers[prediction]

    def _go_on(self, prediction: Prediction) -> None:
        handover = self._handovers.get(prediction)
        if handover is not None and not handover.done():
            handover.set_result(None)


async def _one_by_one(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def _unless_canceled(waited_for: Awaitable[None], items: Any) -> None:
    """Canceled between two items, the generator still has to hear of it, to clean up."""
    try:
        await waited_for
    except asyncio.CancelledError as canceled:
        throw = getattr(items, "athrow", None)
        if throw is not None:
            with suppress(BaseException):
                await throw(canceled)
        raise


async def _close(result: Any) -> None:
    """Now rather than when it is collected: a canceled generator cleans up before the prediction is over."""
    close = getattr(result, "aclose", None)
    if close is not None:
        await close()


def _quietly(loop: asyncio.AbstractEventLoop, callback: Any, *arguments: Any) -> None:
    """From the control thread; when the loop has been closed there is nothing left to tell it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, *arguments)
