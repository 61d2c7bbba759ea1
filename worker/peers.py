"""Whom a request is sent to: the address that was connected to for it, or to which a kept connection leads.

Which addresses are allowed is decided in `outbound`.
"""

import ssl
from contextvars import ContextVar
from typing import Any

import httpcore

from shared.addresses import IPAddress

_peer: ContextVar[IPAddress | None] = ContextVar("peer", default=None)


def note(address: IPAddress | None) -> None:
    """The task turns to that one now; None: to nobody yet."""
    _peer.set(address)


def last() -> str | None:
    """The one this task turned to last, also in vain."""
    address = _peer.get()
    return None if address is None else str(address)


class PeerStream(httpcore.AsyncNetworkStream):
    """A connection that notes where it leads whenever something is sent: only it knows, once it is kept."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, address: IPAddress) -> None:
        self._stream = stream
        self._address = address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  httpcore's signature
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  httpcore's signature
        note(self._address)
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        secure = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return PeerStream(secure, self._address)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
