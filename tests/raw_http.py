"""HTTP as bytes on a socket, for requests that no client would send.

Nothing is asserted here.
"""

import json
import re
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 20.0
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


@dataclass
class RawAnswer:
    """One answer; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Line:
    """One connection; every wait has an end."""

    socket: socket.socket
    _received: bytes = field(default=b"")

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def answer(self) -> RawAnswer:
        """The next answer, which has to have a length."""
        while _HEAD_END not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(_HEAD_END)
        found = _LENGTH.search(head + b"\r\n")
        length = int(found[1]) if found else 0
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return _read(head, body)

    def until_closed(self) -> bytes:
        """What still came, once the server has closed it."""
        while True:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return self._received
            self._received += piece

    def until_heard(self, what: bytes) -> int:
        """The status of an answer without a length, once it has come as far as `what`."""
        while what not in self._received:
            self._receive()
        return int(self._received.split(b" ")[1])

    def vanish(self) -> None:
        """Hang up without a word of farewell but a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def hears(self, seconds: float) -> bool:
        """Whether something comes back in time."""
        return bool(self._received or select.select([self.socket], [], [], seconds)[0])

    def drip(self, data: bytes, seconds: float) -> None:
        """One byte after another with pauses, until all is sent or something comes back."""
        with suppress(ConnectionResetError, BrokenPipeError):
            for byte in data:
                self.socket.sendall(bytes([byte]))
                if self.hears(seconds):
                    return

    def _receive(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"closed after {self._received!r}")
        self._received += piece


def _read(head: bytes, body: bytes) -> RawAnswer:
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return RawAnswer(int(first.split(" ")[1]), {name.lower(): value for name, value in headers.items()}, body)


@contextmanager
def connected(address: str) -> Iterator[Line]:
    """A connection to http://host:port."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS) as opened:
        yield Line(opened)


def ask(address: str, data: bytes | str) -> RawAnswer:
    """The answer to one request on a connection of its own."""
    with connected(address) as line:
        line.send(data)
        return line.answer()
