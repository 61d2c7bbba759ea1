"""What is refused of the address of an input file before anything is stored."""

from ipaddress import ip_network

import pytest

from api.file_addresses import complaint

PRIVATE = "it must not point to a private or reserved address"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/cat.png",
        "HTTP://93.184.215.14/cat.png",
        "data:text/plain;base64,aGVsbG8",
        "data:image/png;base64,-_-_",
        *("data:,hello", "data:text/plain;base64,aGVsbG8%3D"),
        "http://127.0.0.1:8000/v1/files/abc123/content",
        "https://user:pass@example.com:8443/a",
    ],
)
def test_what_may_be_had_is_let_through(url: str) -> None:
    assert complaint(())(url.replace("abc123", "a" * 26)) is None


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST.", "a.localhost", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "0"),
        *("2130706433", "127.1", "0177.0.0.1", "169.254.169.254", "100.100.100.200", "[64:ff9b::a9fe:a9fe]"),
        *("[2002:7f00:1::]", "10.0.0.1", "224.0.0.1", "[fe80::1%25eth0]"),
    ],
)
def test_a_private_address_is_refused_in_every_notation(host: str) -> None:
    assert complaint(())(f"http://{host}:8080/cat.png") == PRIVATE


def test_a_network_that_was_named_is_allowed() -> None:
    assert complaint((ip_network("127.0.0.0/8"),))("http://127.0.0.1/cat.png") is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("file:///etc/passwd", "it has to be an http, https or data URL"),
        ("data:image/png;base64", "it has to be an http, https or data URL"),
        ("data:image/png;base64,a$b=", "its base64 is damaged"),
        ("https:///cat.png", "it has no host"),
        ("https://example.com:99999/", "it is no valid address"),
        ("https://[::1/", "it is no valid address"),
        ("http://example.com:6379/", "port 6379 is none of the web"),
    ],
)
def test_what_can_never_be_had_is_refused_with_the_reason(url: str, why: str) -> None:
    assert complaint(())(url) == why
