"""Questions to a server that is just starting: does it answer, and what?

Clients of the API use `client`; this asks without loading an HTTP library, because `up` waits for it.
"""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from cli.address import Address

_ANSWER_SECONDS = 5.0

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def get(address: Address, path: str, token: str = "") -> tuple[int, bytes]:
    """Status and body of a GET; status 0 where nobody answers."""
    # HTTP/1.0: the answer ends with the connection and is never chunked.
    request = f"GET {path} HTTP/1.0\r\nHost: {address.near_host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    answer = await _ask(asyncio.open_connection(address.near_host, address.port), request.encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 else 0), body


async def ask_valkey(socket: Path, command: bytes) -> bytes:
    """The answer to one command, empty where no server is behind the socket."""
    return await _ask(asyncio.open_unix_connection(socket), command + b"\r\nQUIT\r\n")


async def is_reachable(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


async def _ask(opening: Awaitable[Connection], question: bytes) -> bytes:
    """Everything the other side says until it closes the connection."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await opening
            try:
                writer.write(question)
                return await reader.read()
            finally:
                writer.close()
    except OSError:  # TimeoutError is one, too
        return b""
