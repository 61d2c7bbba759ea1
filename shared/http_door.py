"""The door of an HTTP server: how much a connection may send, how slowly, and how many connections there may be.

uvicorn's own protocol with bounds, for the API and for `pinion serve`. What is asked for is answered by the application
behind it.
"""

import asyncio
import re
import resource
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.ids import new_id

URL_BYTES_MAX = 8 * 1024
HEADERS_MAX = 100
HEADERS_BYTES_MAX = 16 * 1024
BODY_BYTES_A_SECOND = 8 * 1024
"""Each of these that has arrived gives a body a second more: large ones come over slow lines, too."""
REQUEST_ID_HEADER = b"x-request-id"
_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_UNREAD_BYTES_MAX = URL_BYTES_MAX + HEADERS_BYTES_MAX
_HEARING_SECONDS = 2.0
"""How long a refused client has to read why: closing at once would throw the answer away while it still sends."""
_FILES_FOR_OTHERS = 4
"""One in so many files this process may open is kept for the database, Redis and what is served from the disk."""


class Refusal(NamedTuple):
    """An answer that is given without asking the application."""

    status: int
    title: str
    detail: str

    def headers(self, request_id: str, length: int) -> list[tuple[bytes, bytes]]:
        repeat = [(b"retry-after", b"2")] if self.status == 503 else []
        return [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(length).encode()),
            (b"connection", b"close"),
            (REQUEST_ID_HEADER, request_id.encode()),
            *repeat,
        ]

    def body(self) -> bytes:
        return msgspec.json.encode({"title": self.title, "detail": self.detail, "status": self.status})


_MALFORMED = Refusal(400, "Bad request", "This is not a valid HTTP request.")
_NO_HOST = Refusal(400, "Bad request", "A request needs one Host header, with the name or address it was sent to.")
_UPGRADE = Refusal(
    400, "Bad request", "A request with a body cannot ask for another protocol. Send it without the Upgrade header."
)
"""The parser skips such a body, which would then be read as the next request."""
_URL_TOO_LONG = Refusal(
    414, "URL too long", f"The address has more than {URL_BYTES_MAX} bytes. Send large values in the body."
)
_HEADERS_TOO_LARGE = Refusal(
    431,
    "Headers too large",
    f"A request may have {HEADERS_MAX} headers, of {HEADERS_BYTES_MAX // 1024} KiB together. Send fewer or shorter.",
)
_TOO_SLOW = Refusal(408, "Request timeout", "The request did not arrive in time. Send it again over a new connection.")
_FULL = Refusal(503, "Service unavailable", "All connections of this server are in use. Try again in a moment.")


class _Refused(Exception):
    """Ends the parsing; httptools has it as the context of its own exception."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Bounds:
    """Those of one server."""

    connections: int = 5000
    head_seconds: float = 10.0
    """From the first byte of a request to the end of its headers."""
    body_seconds: float = 60.0
    always_answered: Collection[str] = ()
    """Paths that are served when all connections are in use, so that nobody takes a busy server for a dead one."""


class Door:
    """All connections of one server; those on which nothing is being answered, longest quiet first."""

    def __init__(self, bounds: Bounds, note: Callable[[int, str], object] = lambda status, request_id: None) -> None:
        self.bounds = bounds
        self.note = note
        """Called for each refusal, to have it in a log."""
        self.quiet: dict[Connection, None] = {}
        self._places = _places(bounds.connections)

    def connection(self, **of_uvicorn: Any) -> "Connection":
        """What uvicorn calls for each connection that it accepts."""
        return Connection(self, **of_uvicorn)

    def has_room(self, open_connections: int) -> bool:
        """Whether a new one may stay as it is; for its sake the one that was quiet for longest is closed."""
        if open_connections <= self._places:
            return True
        oldest = next(iter(self.quiet), None)
        if oldest:
            del self.quiet[oldest]
            oldest.transport.close()
        return oldest is not None


def _places(wanted: int) -> int:
    """As many as wanted, as far as this process may open files; what it may grant itself it does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * _FILES_FOR_OTHERS // (_FILES_FOR_OTHERS - 1)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return min(wanted, soft - soft // _FILES_FOR_OTHERS)
    return wanted


class Connection(HttpToolsProtocol):
    """One connection: at most one timer runs for what has begun to arrive and is not complete."""

    def __init__(self, door: Door, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._door = door
        self._unread_bytes = 0
        """What came since the parser last made something of it."""
        self._headers_bytes = 0
        self._body_began: float | None = None
        self._body_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # narrower there than in asyncio
        if self._door.has_room(len(self.connections)):
            self._become_quiet()
        else:
            self.app = _Full(self.app, self._door.bounds.always_answered)
        self._wait_for_next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.quiet.pop(self, None)
        self._forget_deadline()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self.parser.feed_data(data)
            if self._unread_bytes > _UNREAD_BYTES_MAX:
                raise _Refused(_HEADERS_TOO_LARGE)
        except httptools.HttpParserError as error:
            refused = error.__context__
            self._refuse(refused.refusal if isinstance(refused, _Refused) else _MALFORMED)
        except _Refused as refused:
            self._refuse(refused.refusal)
        except httptools.HttpParserUpgrade:
            pass  # no other protocol is spoken here, so the request is answered as it is
        else:
            self._watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._headers_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > URL_BYTES_MAX:
            raise _Refused(_URL_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._headers_bytes += len(name) + len(value)
        if len(self.headers) > HEADERS_MAX or self._headers_bytes > HEADERS_BYTES_MAX:
            raise _Refused(_HEADERS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._door.quiet.pop(self, None)
        self._forget_deadline()
        self._unread_bytes = self._body_bytes = 0
        self._body_began = self.loop.time()
        if not self._has_host():
            raise _Refused(_NO_HOST)
        if self.parser.should_upgrade() and self._announces_body():
            raise _Refused(_UPGRADE)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread_bytes = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._forget_deadline()
        self._unread_bytes = 0
        self._body_began = None
        if not self._is_answering:
            self._wait_for_next()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self._is_answering:
            return
        self._become_quiet()
        if self._body_began is not None:  # answered without reading it: what still comes has the time of a body
            self._body_began, self._body_bytes = self.loop.time(), 0
            self._watch()

    def _has_host(self) -> bool:
        """One that links can be made of; HTTP before 1.1 may do without."""
        given = [value for name, value in self.headers if name == b"host"]
        if not given and self.parser.get_http_version() != "1.1":
            return True
        return len(given) == 1 and _HOST.fullmatch(given[0]) is not None

    def _announces_body(self) -> bool:
        lengths = (value for name, value in self.headers if name == b"content-length")
        return any(length != b"0" for length in lengths) or any(
            name == b"transfer-encoding" for name, _ in self.headers
        )

    def _become_quiet(self) -> None:
        self._door.quiet[self] = None

    def _wait_for_next(self) -> None:
        """For a request; uvicorn itself does so only after an answer."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _watch(self) -> None:
        if self._deadline or self.transport.is_closing():
            return
        if self._body_began is not None:
            self._deadline = self.loop.call_later(self._door.bounds.body_seconds, self._look_at_body)
        elif self._unread_bytes and not self._is_answering:
            self._deadline = self.loop.call_later(self._door.bounds.head_seconds, self._refuse, _TOO_SLOW)

    def _forget_deadline(self) -> None:
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def _look_at_body(self) -> None:
        """Whether it was too slow; what arrives for an answered request gains no time, and our own pauses cost none."""
        self._deadline = None
        gained = self._body_bytes / BODY_BYTES_A_SECOND if self._is_answering else 0
        left = (self._body_began or 0) + self._door.bounds.body_seconds + gained - self.loop.time()
        if left > 0 or (self.flow.read_paused and self._is_answering):
            self._deadline = self.loop.call_later(max(left, 1.0), self._look_at_body)
        elif self._is_answering:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Say why and close; nothing more is read. What was being answered is given up."""
        self._is_refused = True
        self._forget_deadline()
        is_speaking = self._is_answering and self.cycle.response_started
        if self._is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.pipeline.clear()
        if is_speaking or self.transport.is_closing():  # an answer inside another one would be taken for a part of it
            self.transport.close()
            return
        request_id, body = new_id(), refusal.body()
        self._door.note(refusal.status, request_id)
        lines = [b"%s: %s\r\n" % header for header in refusal.headers(request_id, len(body))]
        self.transport.write(b"".join([STATUS_LINE[refusal.status], *lines, b"\r\n", body]))
        self._deadline = self.loop.call_later(_HEARING_SECONDS, self.transport.close)


class _Full:
    """In place of the application on a connection for which there is no room: one answer, and it is closed."""

    def __init__(self, app: Any, always_answered: Collection[str]) -> None:
        self._app = app
        self._always_answered = always_answered

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] in self._always_answered:
            await self._app(scope, receive, send)
            return
        body = _FULL.body()
        headers = _FULL.headers(new_id(), len(body))
        await send({"type": "http.response.start", "status": _FULL.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
