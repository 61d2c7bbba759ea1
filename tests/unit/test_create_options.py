"""How long a create may live and how often it was tried, from headers; what cannot be meant is said."""

import pytest

from api.create_options import _checked_key, _retries, lifetime_seconds
from shared.errors import InvalidRequest


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        ("5s", 5.0),
        (" 90s ", 90.0),
        ("300", 300.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1h30m45s", 5445.0),
        ("1h45s", 3645.0),
        ("0h0m7s", 7.0),
        ("8760h", 31_536_000.0),
    ],
)
def test_a_lifetime(header: str | None, seconds: float | None) -> None:
    assert lifetime_seconds(header) == seconds


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            " ",
            "0",
            "4",
            "4s",
            "-5",
            "+5",
            "5.5",
            "5ms",
            "5d",
            "banana",
            "100y",
            "m",
            "30m1h",
            "1h30",
            "1 h",
            "8761h",
        ),
        *("9" * 5_000, "\N{ARABIC-INDIC DIGIT FIVE}" * 2, "inf", "nan", "5s,5s"),
    ],
)
def test_a_lifetime_that_cannot_be_meant_is_refused_and_told_how_to_say_it(header: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Cancel-After: Must be a time from 5s to 8760h, as 90s, 5m or 1h30m45s"):
        lifetime_seconds(header)


@pytest.mark.parametrize(
    ("header", "count"),
    [(None, None), ("0", 0), ("1", 1), ("02", 2), ("", None), ("-1", None), ("1.0", None), ("x", None), ("²", None)],
)
def test_a_count_of_retries_is_a_number_or_nothing(header: str | None, count: int | None) -> None:
    assert _retries(header) == count


def test_a_key_has_a_bounded_length() -> None:
    assert _checked_key(None) is None
    assert _checked_key("k" * 255) == "k" * 255
    for wrong in ("", "k" * 256):
        with pytest.raises(InvalidRequest, match="Idempotency-Key: Must have 1 to 255 characters"):
            _checked_key(wrong)
