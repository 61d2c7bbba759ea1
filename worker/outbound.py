"""The only HTTP client to foreign addresses: every address is checked after DNS, and the checked one is connected to.

Nothing is retried or interpreted here; worker/deliver.py, worker/inputs.py and worker/weights.py decide what an answer
means.
"""

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from datetime import timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import IO, NamedTuple, cast

import httpcore
import httpx

from shared.addresses import REFUSED_PORTS, IPAddress, IPNetwork, is_allowed, literal_address
from shared.errors import (
    AddressBlocked,
    AnswerRefused,
    AnswerTimeout,
    AnswerTooLarge,
    ConnectFailed,
    ConnectionLost,
    NameUnresolved,
    TooManyRedirects,
)
from shared.sizes import size_in_words
from worker import peers

READ_CAP_BYTES = 16 * 1024
KEPT_BYTES = 4 * 1024
USER_AGENT = "Pinion/0.1"
REDIRECTS_MAX = 5

_TIMEOUT = httpx.Timeout(None, connect=5.0, write=10.0)
_FETCH_TIMEOUT = httpx.Timeout(None, connect=5.0, write=10.0, read=60.0)
"""How long a server may say nothing while a file is fetched, which as a whole may take much longer."""
# Compressed answers would make a small read cap a large one.
_HEADERS = {"accept-encoding": "identity", "user-agent": USER_AGENT}
_CONNECTIONS_MAX = 100
_IDLE_CONNECTIONS_MAX = 20
_IDLE_EXPIRY = timedelta(seconds=15)
# getaddrinfo cannot be interrupted; in the loop's own pool a few slow names would starve all other file work.
_RESOLVER_THREADS = 8
_ADDRESSES_TRIED_MAX = 3


class Answer(NamedTuple):
    """What came back: `head` is the beginning of the body; two headers as they stand."""

    status: int
    head: bytes
    milliseconds: int
    retry_after: str | None = None
    location: str | None = None


class Outbound(httpx.AsyncClient):
    """A client for one event loop, to be closed by its opener; keeps connections to talkative receivers open.

    No cookies, nothing from the environment. Its requests raise what `failures_named` names.
    """

    def __init__(self, allowed_networks: Sequence[IPNetwork], ssl_context: ssl.SSLContext | None = None) -> None:
        ssl_context = ssl_context or httpx.create_ssl_context(trust_env=False)
        self.transport = _GuardedTransport(allowed_networks, ssl_context)
        super().__init__(
            transport=self.transport,
            timeout=_TIMEOUT,
            headers=_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )


async def post(
    client: Outbound,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    total: timedelta,
    read_cap_bytes: int = READ_CAP_BYTES,
) -> Answer:
    """Send `body` and read the answer's beginning, all within `total` by the wall clock; OutboundError otherwise.

    Whom it was sent to says `peers.last`, whatever came of it.

    Straight through the client's transport: the layers above it are for redirects, cookies and the like, and a third
    of the time.
    """
    started = time.perf_counter()
    peers.note(None)
    with failures_named():
        request = _request(url, body, headers)
        async with asyncio.timeout(total.total_seconds()):
            response = await client.transport.handle_async_request(request)
            try:
                head = await _beginning(response, read_cap_bytes)
            finally:
                await response.aclose()
    milliseconds = round((time.perf_counter() - started) * 1000)
    kept = (response.headers.get(name) for name in ("retry-after", "location"))
    return Answer(response.status_code, head[:KEPT_BYTES], milliseconds, *kept)


def _request(url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Request:
    timeouts = {"timeout": _TIMEOUT.as_dict()}
    request = httpx.Request("POST", url, headers={**_HEADERS, **headers}, content=body, extensions=timeouts)
    if request.url.userinfo:
        request = next(httpx.BasicAuth(request.url.username, request.url.password).auth_flow(request))
    return request


async def fetch(
    client: httpx.AsyncClient,
    url: str,
    sink: IO[bytes],
    *,
    total: timedelta | None = None,
    cap_bytes: int = sys.maxsize,
) -> None:
    """Write what a GET answers to `sink`, all within `total` by the wall clock; OutboundError otherwise.

    A few redirects are followed, each to a connection of its own that is checked like the first.
    """
    with failures_named():
        async with asyncio.timeout(total.total_seconds() if total else None):
            onward: httpx.URL | None = httpx.URL(url)
            for _ in range(REDIRECTS_MAX + 1):
                if onward is None:
                    return
                onward = await _fetch_or_redirect(client, onward, sink, cap_bytes)
    if onward is not None:
        raise TooManyRedirects


async def _fetch_or_redirect(
    client: httpx.AsyncClient, url: httpx.URL, sink: IO[bytes], cap_bytes: int
) -> httpx.URL | None:
    """None when the content has been written, else the address to go on with."""
    async with client.stream("GET", url, timeout=_FETCH_TIMEOUT) as response:
        if response.has_redirect_location:
            return url.join(response.headers["location"])
        if not response.is_success:
            raise AnswerRefused(f"the server answered HTTP {response.status_code}")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise AnswerRefused("the server answered with compressed content although it was asked not to")
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > cap_bytes:
            raise AnswerTooLarge(f"it is larger than {size_in_words(cap_bytes)}")
        await _write_all(response, sink, cap_bytes)
        return None


async def _write_all(response: httpx.Response, sink: IO[bytes], cap_bytes: int) -> None:
    received = 0
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            if received > cap_bytes:
                raise AnswerTooLarge(f"it is larger than {size_in_words(cap_bytes)}")
            await asyncio.to_thread(sink.write, chunk)


@contextmanager
def failures_named() -> Iterator[None]:
    """Turns the client's many exceptions into our few."""
    try:
        yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise AnswerTimeout from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise AddressBlocked from error
    except httpx.ConnectError as error:
        raise ConnectFailed(str(error)) from error
    except httpx.TransportError as error:
        raise ConnectionLost from error


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport around a pool of our own: httpx has no parameter for a network backend, httpcore has."""

    def __init__(self, allowed_networks: Sequence[IPNetwork], ssl_context: ssl.SSLContext) -> None:
        super().__init__(verify=ssl_context, trust_env=False)
        self._backend = _GuardedBackend(allowed_networks)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=_CONNECTIONS_MAX,
            max_keepalive_connections=_IDLE_CONNECTIONS_MAX,
            keepalive_expiry=_IDLE_EXPIRY.total_seconds(),
            network_backend=self._backend,
        )

    async def aclose(self) -> None:
        await super().aclose()
        self._backend.close()


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, checks every address and connects to a checked one; TLS still sees the host's name."""

    def __init__(self, allowed_networks: Sequence[IPNetwork]) -> None:
        self._allowed_networks = tuple(allowed_networks)
        self._network = httpcore.AnyIOBackend()
        self._resolvers = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="dns")

    def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        async with asyncio.timeout(timeout):
            addresses = await self._resolve(host, port)
            if port in REFUSED_PORTS:
                raise AddressBlocked(f"port {port} not allowed by policy")
            # One private address among public ones is an attack, not a receiver with a choice.
            if not all(is_allowed(address, self._allowed_networks) for address in addresses):
                raise AddressBlocked
            return await self._connect_to_first(addresses[:_ADDRESSES_TRIED_MAX], port, timeout, socket_options)

    async def _resolve(self, host: str, port: int) -> list[IPAddress]:
        literal = literal_address(host)
        if literal is not None:
            return [literal]
        lookup = asyncio.get_running_loop().run_in_executor(
            self._resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        try:
            found = await lookup
        except (OSError, UnicodeError) as error:
            raise NameUnresolved from error
        return list(dict.fromkeys(ip_address(address[0]) for *_, address in found))

    async def _connect_to_first(
        self,
        addresses: Sequence[IPAddress],
        port: int,
        seconds: float | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        """Each address gets an equal share of the time, so that a silent one does not hide a living one."""
        share = None if seconds is None else seconds / len(addresses)
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, share, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, share, socket_options)

    async def _connect(
        self,
        address: IPAddress,
        port: int,
        seconds: float | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.AsyncNetworkStream:
        peers.note(address)
        stream = await self._network.connect_tcp(str(address), port, seconds, None, socket_options)
        return peers.PeerStream(stream, address)


async def _beginning(response: httpx.Response, cap_bytes: int) -> bytes:
    received = bytearray()
    # Closed here and now: a half-read generator left to the garbage collector would outlive its connection.
    async with aclosing(cast("AsyncGenerator[bytes]", response.aiter_raw())) as chunks:
        async for chunk in chunks:
            received += chunk
            if len(received) >= cap_bytes:
                break
    return bytes(received[:cap_bytes])
