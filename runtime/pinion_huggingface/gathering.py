"""Answers together what waits at the same time and is alike: one pass through a model instead of one for each.

While one pass is under way the next one gathers. What a pass does is up to whoever asks.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_PARTS_MOST, _SIZE_MOST = 64, 32_768
"""Of one pass: how many parts, and how large they may be together, filling included. One part is taken in any case."""


@dataclass(frozen=True, eq=False)
class _Part:
    content: Any
    kind: tuple[Any, int]
    size: int
    answer: "asyncio.Future[Any]"


class Gathering:
    """`run` takes contents and what they have in common, and returns an answer for each."""

    def __init__(self, run: Callable[[list[Any], Any], Sequence[Any]]) -> None:
        self._run = run
        self._waiting: list[_Part] = []
        self._working: asyncio.Task[None] | None = None

    async def answer(self, content: Any, size: int, common: Any = None) -> Any:
        """Its answer. A part is joined by others with the same in common, and at most twice or half as large.

        Raises whatever `run` raises for this part alone.
        """
        part = _Part(content, (common, size.bit_length()), size, asyncio.get_running_loop().create_future())
        self._waiting.append(part)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await part.answer

    async def _work(self) -> None:
        while parts := self._next():
            contents, common = [part.content for part in parts], parts[0].kind[0]
            try:
                answers = await asyncio.to_thread(self._run, contents, common)
            except Exception as error:  # of the model; it may be the fault of one of them
                await self._work_alone(parts, error)
            else:
                for part, answer in zip(parts, answers, strict=True):
                    _settle(part, answer)

    async def _work_alone(self, parts: list[_Part], error: Exception) -> None:
        if len(parts) == 1:
            _settle(parts[0], error)
            return
        for part in parts:
            try:
                [answer] = await asyncio.to_thread(self._run, [part.content], part.kind[0])
            except Exception as own:
                _settle(part, own)
            else:
                _settle(part, answer)

    def _next(self) -> list[_Part]:
        """Whoever has waited longest, and those behind who are alike, as many as may be."""
        self._waiting = [part for part in self._waiting if not part.answer.done()]  # canceled, that is
        chosen: list[_Part] = []
        for part in self._waiting:
            largest = max(part.size, *(each.size for each in chosen), 0)
            has_room = len(chosen) < _PARTS_MOST and largest * (len(chosen) + 1) <= _SIZE_MOST
            if not chosen or (part.kind == chosen[0].kind and has_room):
                chosen.append(part)
        taken = set(chosen)
        self._waiting = [part for part in self._waiting if part not in taken]
        return chosen


def _settle(part: _Part, answer: Any) -> None:
    if part.answer.done():
        return  # canceled
    if isinstance(answer, Exception):
        part.answer.set_exception(answer)
    else:
        part.answer.set_result(answer)
