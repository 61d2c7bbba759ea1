"""Writes the answers of many requests at once: the engine, driven on the event loop it is asked from.

A step runs in the loop's own thread: beside it, another thread would only wait for the interpreter, and between two
steps every request that heard a token, came or went has its turn.
"""

import asyncio
from collections.abc import AsyncGenerator

from pinion_textgen.engine import Engine
from pinion_textgen.options import Options
from pinion_textgen.request import End, Request


class WritingFailed(Exception):
    """The model failed while it wrote an answer."""


class Batching:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._driving: asyncio.Task[None] | None = None

    async def tokens(self, prompt: list[int], options: Options) -> AsyncGenerator[int]:
        """What is written for a prompt of token ids, token by token, the one that ends it included.

        Closing the iterator ends the work within one step. Raises ValueError for what cannot be answered, and
        WritingFailed.
        """
        arrived: asyncio.Queue[int | None] = asyncio.Queue()
        request = Request(prompt, options, lambda _, token: arrived.put_nowait(token))
        self._engine.submit(request)
        if self._driving is None or self._driving.done():
            self._driving = asyncio.create_task(self._drive())
        try:
            while (token := await arrived.get()) is not None:
                yield token
        finally:
            self._engine.cancel(request)
        if request.sequences[0].end == End.FAILED:
            raise WritingFailed(f"The model failed while it wrote: {request.error}") from request.error

    async def _drive(self) -> None:
        """While there is anything to do; nobody has to end it."""
        while self._engine.is_busy:
            try:
                self._engine.step()
            except Exception as error:  # nothing of the engine can be relied on
                self._engine.fail(error)
            await asyncio.sleep(0)
