"""Server-sent events as bytes on the wire: stricter than any client, so that nothing is forgiven.

One event is its name, its id and its lines of data, in this order, with exactly one space after each colon.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

_EVENT = re.compile(r"event: (?P<name>\w+)\nid: (?P<id>[^\n]+)\n(?P<data>data: [^\n]*(?:\ndata: [^\n]*)*)")


@dataclass(frozen=True)
class Event:
    name: str
    id: str
    data: str


@contextmanager
def opened(url: str, last_event_id: str | None = None) -> Iterator[httpx.Response]:
    """The stream's response, asked for without a token."""
    headers: Mapping[str, str] = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with httpx.stream("GET", url, headers=headers, timeout=30) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
        yield response


def events_of(pieces: Iterable[bytes]) -> Iterator[Event]:
    """Events as their bytes arrive; comments are left out."""
    rest = b""
    for piece in pieces:
        *blocks, rest = (rest + piece).split(b"\n\n")
        for block in blocks:
            if not block.startswith(b":"):
                yield read(block.decode())
    assert not rest, f"the stream ended within an event: {rest!r}"


def all_events(url: str, last_event_id: str | None = None) -> list[Event]:
    """Everything until the server closes the stream."""
    with opened(url, last_event_id) as response:
        return list(events_of(response.iter_bytes()))


def outputs(events: Iterable[Event]) -> list[str]:
    return [event.data for event in events if event.name == "output"]


def read(block: str) -> Event:
    found = _EVENT.fullmatch(block)
    assert found, f"not an event: {block!r}"
    return Event(found["name"], found["id"], found["data"].removeprefix("data: ").replace("\ndata: ", "\n"))
