"""Writes the answers of many requests at once: the engine, driven on the event loop it is asked from.

A step runs in the loop's own thread: beside it, another thread would only wait for the interpreter, and between two
steps every request that heard a token, came or went has its turn.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextvars import Context

from pinion_textgen.engine import Engine
from pinion_textgen.options import Options
from pinion_textgen.request import Request

Figures = dict[str, float]

_WATCHED_SECONDS = 1.0


class WritingFailed(Exception):
    """The model failed while it wrote an answer."""


def _failure(error: Exception) -> WritingFailed:
    return WritingFailed(f"The model failed while it wrote: {error}")


def _nothing(_: object) -> None:
    """For when nobody cares."""


class Batching:
    """`watch` hears figures of the engine once a second while it works, and when it has nothing more to do.

    `leave` is called when the device is lost, after all requests have been told: nothing but a new process helps then.
    """

    def __init__(
        self,
        engine: Engine,
        watch: Callable[[Figures], None] = _nothing,
        leave: Callable[[Exception], None] = _nothing,
    ) -> None:
        self._engine = engine
        self._watch, self._leave = watch, leave
        self._driving: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[object]] = set()
        self._lost: Exception | None = None
        self._told_at, self._told_tokens = 0.0, 0.0

    async def tokens(self, prompt: list[int], options: Options) -> AsyncGenerator[int]:
        """What is written for a prompt of token ids, token by token, the one that ends it included.

        Closing the iterator ends the work within one step. Raises ValueError for what cannot be answered, and
        WritingFailed.
        """
        if self._lost:
            raise _failure(self._lost) from self._lost
        arrived: asyncio.Queue[int | None] = asyncio.Queue()
        request = Request(prompt, options, lambda _, token: arrived.put_nowait(token))
        self._engine.submit(request)
        self._drive_on()
        try:
            while (token := await arrived.get()) is not None:
                yield token
        finally:
            self._engine.cancel(request)
        if request.error:
            raise _failure(request.error) from request.error

    def _drive_on(self) -> None:
        if asker := asyncio.current_task():
            self._asking.add(asker)
            asker.add_done_callback(self._asking.discard)
        if self._driving is None or self._driving.done():
            # in no request's context: what is printed and recorded there would count as that one's
            self._driving = asyncio.create_task(self._drive(), context=Context())

    async def _drive(self) -> None:
        """While there is anything to do; nobody has to end it."""
        self._told_at, self._told_tokens = time.monotonic(), self._engine.tokens
        while self._engine.is_busy:
            try:
                self._engine.step()
            except Exception as error:  # nothing of the engine can be relied on
                self._lost = error
                self._engine.fail(error)
                if self._asking:
                    await asyncio.wait(self._asking)
                self._leave(error)
            if not self._engine.is_busy or time.monotonic() - self._told_at >= _WATCHED_SECONDS:
                self._tell()
            await asyncio.sleep(0)  # who heard a token says it,
            await asyncio.sleep(0)  # and what all of them said goes out together

    def _tell(self) -> None:
        now, figures = time.monotonic(), self._engine.figures()
        speed = (figures["tokens"] - self._told_tokens) / max(now - self._told_at, 1e-9)
        self._told_at, self._told_tokens = now, figures["tokens"]
        self._watch({**figures, "tokens_per_second": speed if self._engine.is_busy else 0.0})
