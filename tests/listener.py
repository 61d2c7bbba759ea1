"""A server on loopback that speaks HTTP as badly as it is told to, and remembers who came.

Nothing is asserted here; `receiver` is for those who want a well-behaved one.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from shared.tasks import end

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Listener:
    """A receiver that does what it is told and remembers who came."""

    def __init__(self) -> None:
        self.behaviour: Behaviour = answering(OK)
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0
        self._handlers: set[asyncio.Task[Any]] = set()

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/hook"

    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Listener"]:
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        yield self
        server.close()
        await end(*self._handlers)  # a client may keep its connections for as long as it likes

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        try:
            while True:
                self.requests.append(await self._request(reader))
                await self.behaviour(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return head + await reader.readexactly(int(length or 0))


def answering(answer: bytes) -> Behaviour:
    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behaviour


async def drip_feeding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b".")
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.02)


async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def hanging_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await writer.drain()
    writer.close()
    raise ConnectionResetError


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    raise ConnectionResetError


async def pouring(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without an end."""
    await _without_end(writer, b"HTTP/1.1 200 OK\r\ncontent-length: 100000000000\r\n\r\n", b"x" * 65_536)


async def pouring_headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _without_end(writer, b"HTTP/1.1 200 OK\r\n", b"x: " + b"x" * 1000 + b"\r\n")


async def promising(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says again and again that it will answer."""
    while not reader.at_eof():
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.02)


async def _without_end(writer: asyncio.StreamWriter, beginning: bytes, more: bytes) -> None:
    writer.write(beginning)
    while True:
        writer.write(more)
        await writer.drain()
