"""The events of one prediction as server-sent events: the last ones are kept for whoever comes late or comes back.

What an event means is decided by whoever adds it; that nobody listens any more is only told.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

_LIVE_EVENTS = 1024
"""Kept in any case, for a reader that is a little behind."""
_QUIET_SECONDS = 15.0
"""After which a comment keeps proxies and clients from giving up."""


class History:
    """Encoding is left to the readers, because most predictions have none."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: deque[tuple[str, dict[str, Any]]] = deque(maxlen=max(capacity, _LIVE_EVENTS))
        self._count = 0
        self._is_over = False
        self._news = asyncio.Event()
        self.readers = 0

    def add(self, name: str, data: dict[str, Any], *, is_last: bool = False) -> None:
        self._kept.append((name, data))
        self._count += 1
        self._is_over = is_last
        self._news.set()
        self._news = asyncio.Event()

    async def news(self) -> None:
        """Waits for the next event."""
        await self._news.wait()

    async def follow(self) -> AsyncIterator[bytes]:
        """From as far back as is kept until the last event; what was lost on the way is told as an `error`."""
        position = max(0, self._count - self._capacity)
        if position and self._capacity:
            yield _encoded("error", {"error": "Earlier events are no longer kept.", "skipped": position})
        while True:
            oldest = self._count - len(self._kept)
            if position < oldest:
                lost = oldest - position
                yield _encoded("error", {"error": "The client was too slow for these events.", "skipped": lost})
                position = oldest
            news = self._news
            chunk = b"".join(_encoded(*self._kept[index - oldest]) for index in range(position, self._count))
            position = self._count
            if chunk:
                yield chunk
            elif self._is_over:
                return
            elif not await _happens(news):
                yield b": still running\n\n"


async def _happens(news: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            return await news.wait()
    except TimeoutError:
        return False


def _encoded(name: str, data: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
