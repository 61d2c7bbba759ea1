"""Runs predictions on an event loop in the main thread, for models whose predict() is async.

One at a time for now; a prediction is a task already, so that several can follow.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any, AsyncIterator, Iterable

from cog.scope import Scope, running
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter, compose
from pinion_runtime.inputs import arguments_of
from pinion_runtime.loading import Model
from pinion_runtime.outputs import encode
from pinion_runtime.serving import Outcome, conclude, failure, metric


class AsyncServing:
    def __init__(self, model: Model, control: Control, writer: FrameWriter) -> None:
        self._model = model
        self._control = control
        self._writer = writer
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)  # a setup() that is not async may ask for it
        self._tasks: dict[Prediction, asyncio.Task[Outcome]] = {}

    def set_up(self) -> None:
        pending = self._model.setup()
        if inspect.isawaitable(pending):
            self._loop.run_until_complete(pending)

    def serve(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        arrived = asyncio.Event()
        self._control.on_arrival = lambda: _quietly(self._loop, arrived.set)
        self._control.interrupt = lambda prediction: _quietly(self._loop, self._interrupt, prediction)
        while True:
            while not self._control.inbox.empty():
                prediction = self._control.inbox.get_nowait()
                if prediction is None:
                    return
                await self._answer(prediction)
            await arrived.wait()
            arrived.clear()

    async def _answer(self, prediction: Prediction) -> None:
        began = time.perf_counter()
        task = self._tasks[prediction] = self._loop.create_task(self._run(prediction))
        if prediction.is_cancel_requested:
            self._interrupt(prediction)
        try:
            outcome = await task
        except asyncio.CancelledError:  # before its first step
            outcome = Outcome("canceled")
        del self._tasks[prediction]
        self._control.forget(prediction)
        conclude(self._writer, prediction, outcome, began)

    def _interrupt(self, prediction: Prediction) -> None:
        task = self._tasks.get(prediction)
        if task is not None and not task.done() and not prediction.is_interrupted:
            prediction.is_interrupted = True
            task.cancel()

    async def _run(self, prediction: Prediction) -> Outcome:
        def record(name: str, value: Any, mode: str) -> None:
            self._writer.write(metric(prediction, name, value, mode))

        running.set(Scope(record))  # a task has a context of its own
        try:
            output = await self._predict(prediction)
        except BaseException as error:  # user code: also SystemExit must not end the process
            return Outcome("canceled") if prediction.is_interrupted else failure(error)
        return Outcome("canceled") if prediction.is_interrupted else Outcome("succeeded", output)

    async def _predict(self, prediction: Prediction) -> str:
        result: Any = self._model.predict(**arguments_of(self._model.signature, prediction.input))
        if inspect.isawaitable(result):
            result = await result
        if not self._model.signature.is_iterator:
            return encode([item async for item in result] if isinstance(result, AsyncIterator) else result)
        try:
            await self._stream(prediction, result if hasattr(result, "__aiter__") else _one_by_one(result))
        finally:
            await _close(result)
        return "null"

    async def _stream(self, prediction: Prediction, items: AsyncIterator[Any]) -> None:
        async for item in items:
            if prediction.is_cancel_requested:  # swallowed, or never heard because the model awaits nothing
                prediction.is_interrupted = True
                return
            self._writer.write(compose("output", {"id": prediction.id}, "value", encode(item)))


async def _one_by_one(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def _close(result: Any) -> None:
    """Now rather than when it is collected: a canceled generator cleans up before the prediction is over."""
    close = getattr(result, "aclose", None)
    if close is not None:
        await close()


def _quietly(loop: asyncio.AbstractEventLoop, callback: Any, *arguments: Any) -> None:
    """From the control thread; when the loop has been closed there is nothing left to tell it."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback, *arguments)
