"""Server-sent events from text.

No connection is made.
"""

import pytest

from cli.event_stream import Event, lines_of, parse

STREAM = (
    ": hi\n\nevent: output\nid: 1:0\ndata:  world\n\n"
    "event: output\r\nid: 1:1\r\ndata: two\r\ndata: lines\r\n\r\n"
    "event: done\nid: 1:2\ndata: {}\n\n"
)
EVENTS = [Event("output", " world", "1:0"), Event("output", "two\nlines", "1:1"), Event("done", "{}", "1:2")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_the_same_however_the_text_is_cut(size: int) -> None:
    pieces = (STREAM[start : start + size] for start in range(0, len(STREAM), size))
    assert list(parse(lines_of(pieces))) == EVENTS


def test_only_a_line_feed_ends_a_line() -> None:
    (event,) = parse(lines_of(["event: output\ndata: a\u2028b\x0bc\x85d\n\n"]))
    assert event.data == "a\u2028b\x0bc\x85d"


def test_an_empty_token_and_a_newline_are_kept() -> None:
    events = parse(lines_of(["event: output\ndata: \n\nevent: output\ndata: \ndata: \n\n"]))
    assert [event.data for event in events] == ["", "\n"]


def test_an_event_cut_off_is_left_out() -> None:
    assert list(parse(lines_of(["event: output\ndata: whole\n\nevent: output\ndata: ha"]))) == [
        Event("output", "whole", "")
    ]
