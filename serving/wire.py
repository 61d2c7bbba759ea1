"""HTTP as this room needs it, on bare ASGI: one request in, one answer or one stream of events out.

Which path means what is decided in `app`. No framework on purpose: importing one takes longer than a model's start.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import aclosing
from typing import Any

import msgspec

from shared.errors import BodyTooLarge

BODY_BYTES_MAX = 100 * 2**20

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_JSON = (b"content-type", b"application/json")
_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class Request:
    """One request; header names are lower-case."""

    def __init__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._receive, self._send = receive, send

    async def body(self) -> bytes:
        """All of it; whoever breaks off has sent an incomplete one, which then is no JSON."""
        received = bytearray()
        while True:
            message = await self._receive()
            received += message.get("body", b"")
            if len(received) > BODY_BYTES_MAX:
                raise BodyTooLarge
            if not message.get("more_body"):
                return bytes(received)

    async def until_gone(self) -> None:
        """Returns when the client has closed the connection; to be asked after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, body: Any, *headers: tuple[bytes, bytes]) -> None:
        content = msgspec.json.encode(body)
        length = (b"content-length", str(len(content)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
        await self._send({"type": "http.response.body", "body": content})

    async def stream(self, chunks: AsyncGenerator[bytes]) -> None:
        """Until the chunks end or the client leaves."""
        await self._send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
        sending = asyncio.create_task(self._send_all(chunks))
        gone = asyncio.create_task(self.until_gone())
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send_all(self, chunks: AsyncGenerator[bytes]) -> None:
        async with aclosing(chunks):  # also when the client has left in the middle of a chunk
            async for chunk in chunks:
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body"})
