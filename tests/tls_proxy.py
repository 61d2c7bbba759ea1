"""A reverse proxy that speaks TLS on loopback and, like those in use, says so to whom it passes a request on.

Each connection carries one request. Runs its own event loop in a thread; who is behind it is said after the start,
because they may want to know its address.
"""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.certificate import KEY_AND_CERTIFICATE

_PIECE_BYTES = 1 << 16
_SAID = b"X-Forwarded-Proto: https\r\nConnection: close\r\n"


@dataclass
class TlsProxy:
    """Started by `tls_proxy`."""

    url: str
    authorities: Path
    """A file that lets programs trust it, for SSL_CERT_FILE and NODE_EXTRA_CA_CERTS."""
    target: str = ""
    """Address of the plain server behind it, like http://127.0.0.1:8000."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.target.removeprefix("http://").split(":")
        with suppress(OSError, asyncio.CancelledError):
            async with _ending(writer):
                request_line = await reader.readline()
                behind_reader, behind_writer = await asyncio.open_connection(host, int(port))
                async with _ending(behind_writer):
                    behind_writer.write(request_line + _SAID)
                    ways = [_pump(reader, behind_writer), _pump(behind_reader, writer)]
                    await asyncio.wait(map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED)


@asynccontextmanager
async def _ending(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Closes a connection once all is sent, or at once where the proxy itself is to end."""
    try:
        yield
        writer.close()
        await writer.wait_closed()
    finally:
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE_BYTES):
            writer.write(piece)
            await writer.drain()


def trusting() -> ssl.SSLContext:
    """What a client needs to know to trust it."""
    return ssl.create_default_context(cadata=KEY_AND_CERTIFICATE)


@contextmanager
def tls_proxy(folder: Path) -> Iterator[TlsProxy]:
    """A proxy on a free port; `folder` is for its certificate."""
    chain = folder / "chain.pem"
    chain.write_text(KEY_AND_CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    loop = asyncio.new_event_loop()
    proxy = TlsProxy("", chain)
    server = loop.run_until_complete(asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context))
    proxy.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
