"""Lines put together from what a pipe gives, whatever the pieces."""

from hypothesis import given
from hypothesis import strategies as some

from worker.frames import Lines


@given(some.lists(some.binary(max_size=5).map(lambda piece: piece.replace(b"\x00", b"\n"))))
def test_lines_are_the_same_however_they_are_cut(pieces: list[bytes]) -> None:
    lines = Lines(longest_bytes=1000)
    assert [line for piece in pieces for line in lines.take(piece)] == b"".join(pieces).split(b"\n")[:-1]


def test_what_gets_too_long_is_cut_and_nothing_of_it_is_kept() -> None:
    lines = Lines(longest_bytes=4)
    assert list(lines.take(b"ab\ncdef")) == [b"ab"]
    assert list(lines.take(b"g")) == [b"cdefg"]
    assert list(lines.take(b"h\nij\n")) == [b"h", b"ij"]


def test_after_one_that_is_no_frame_nothing_is_taken_even_if_it_came_together() -> None:
    lines, taken = Lines(), []
    for line in lines.take(b"good\nbad\ngood\n"):
        taken.append(line)
        if line == b"bad":
            lines.close()
    assert taken == [b"good", b"bad"]
    assert list(lines.take(b"good\n")) == []
