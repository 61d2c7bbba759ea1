"""The smallest HTTP ends that do not themselves become the bottleneck: a keep-alive client and a receiver.

Both speak just enough HTTP/1.1 for the benchmarks.
"""

import asyncio
import time
from typing import Any, Self

import msgspec


class Refused(RuntimeError):
    """An answer that is no 2xx, with its body as the message."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status


class Client:
    """One connection to the API."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._place = host, port
        self._turn = asyncio.Lock()
        self._head = f"Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._place)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; raises Refused."""
        content = msgspec.json.encode(body) if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(content)}\r\n\r\n"
        async with self._turn:
            self._writer.write(head.encode() + content)
            answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.partition(b"content-length:")[2].partition(b"\r\n")[0])
            content = await self._reader.readexactly(length)
        if answer[9:10] != b"2":
            raise Refused(int(answer[9:12]), content.decode())
        return msgspec.json.decode(content)


class Receiver:
    """Notes when the webhook of each id came; `url` is where."""

    def __init__(self) -> None:
        self.came: dict[str, float] = {}
        self._news = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def until(self, count: int) -> None:
        """Wait until so many have come."""
        async with asyncio.timeout(60):
            while len(self.came) < count:
                self._news.clear()
                await self._news.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        while head := await _head(reader):
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = msgspec.json.decode(await reader.readexactly(length))
            self.came.setdefault(body["id"], time.perf_counter())
            self._news.set()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
