"""How long `Prefer: wait` holds an answer; what cannot be read is no wish."""

import pytest

from api.create_options import WAIT_SECONDS_MAX, wait_seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", None),
        ("respond-async", None),
        ("return=minimal", None),
        ("wait", WAIT_SECONDS_MAX),
        ("WAIT", WAIT_SECONDS_MAX),
        (" wait ", WAIT_SECONDS_MAX),
        ("wait=5", 5.0),
        ("wait = 5", 5.0),
        ("wait=2.5", 2.5),
        ('wait="5"', 5.0),
        ("Wait=5", 5.0),
        ("wait=5, respond-async", 5.0),
        ("respond-async, wait=5", 5.0),
        ("respond-async,wait", WAIT_SECONDS_MAX),
        ("wait=5; strict", 5.0),
        ("wait=0", 1.0),
        ("wait=0.2", 1.0),
        ("wait=60", WAIT_SECONDS_MAX),
        ("wait=99999999999999999999", WAIT_SECONDS_MAX),
        ("wait=-5", None),
        ("wait=", None),
        ("wait=soon", None),
        ("wait=nan", None),
        ("wait=inf", None),
        ("wait=1e3", None),
        ("await=5", None),
        ("waiting=5", None),
        ("no-wait", None),
        ("handling=wait", None),
    ],
)
def test_what_a_client_prefers(header: str, seconds: float | None) -> None:
    assert wait_seconds(header) == seconds


def test_a_header_made_to_be_slow_is_read_at_once() -> None:
    assert wait_seconds("wait" + " " * 50_000 + "x") is None
    assert wait_seconds(", " * 50_000) is None
