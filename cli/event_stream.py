"""Server-sent events: from text as it arrives to events.

Where the text comes from, and what an event means, is decided in `run`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    name: str
    data: str
    id: str


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Whole lines from text as it arrives. Only a line feed ends one: tokens may hold U+2028 and its like."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield line.removesuffix("\r")


def parse(lines: Iterable[str]) -> Iterator[Event]:
    """The complete events among lines without their ends; one cut off by a lost connection is left out."""
    name, last_id = "message", ""
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Event(name, "\n".join(data), last_id)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")  # exactly one: the next belongs to the text
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "id":
            last_id = value
