"""Doing in one go what several ask for while the same thing is under way.

Waits for nothing on purpose: alone, a request is handled at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_MAX = 32


class Together(Generic[Item, Result]):
    """`handle` gets what has gathered and answers in the same order; a batch that fails is tried one by one."""

    def __init__(self, handle: Callable[[list[Item]], Awaitable[list[Result]]]) -> None:
        self._handle = handle
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            await self._settle(batch)

    async def _settle(self, batch: list[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._handle([item for item, _ in batch])
            answered = list(zip(batch, results, strict=True))
        except Exception as error:  # whoever asked gets it
            if len(batch) == 1:
                _, future = batch[0]
                if not future.done():
                    future.set_exception(error)
                return
            for single in batch:
                await self._settle([single])
            return
        for (_, future), result in answered:
            if not future.done():
                future.set_result(result)
