"""What a real server does with what is too large, too slow or no HTTP, and with too many connections or streams."""

from contextlib import ExitStack

import httpx
import pytest

from shared.http_door import HEADERS_BYTES_MAX, HEADERS_MAX, URL_BYTES_MAX
from tests.instance import until
from tests.raw_http import Line, ask, connected
from tests.raw_requests import (
    ACCOUNT,
    BEARER,
    CONNECTIONS,
    GOOD,
    HOST,
    LIVE,
    POST,
    STREAMS,
    STREAMS_OF_ONE,
    assert_problem,
)

pytest_plugins = ("tests.bounded_api",)


def assert_refused(line: Line, status: int, says: str) -> None:
    answer = line.answer()
    assert_problem(answer, status, says)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]


def test_who_was_refused_is_hung_up_on_soon_after(address: str) -> None:
    with connected(address) as line:
        line.send("GET / HTTP/1.1\r\nX y\r\n\r\n")
        assert_refused(line, 400, "not a valid HTTP request")
        line.send(LIVE)
        assert line.until_closed() == b""


@pytest.mark.parametrize(
    ("request_line", "headers", "status", "says"),
    [
        (f"GET /{'a' * URL_BYTES_MAX}", "", 414, "8192 bytes"),
        (f"GET /livez?{'a' * URL_BYTES_MAX}", "", 414, "8192 bytes"),
        ("GET /livez", "X: y\r\n" * HEADERS_MAX, 431, "100 headers"),
        ("GET /livez", f"X: {'y' * HEADERS_BYTES_MAX}\r\n", 431, "16 KiB"),
        ("GET /livez", f"Authorization: Bearer {'y' * 1_000_000}\r\n", 431, "16 KiB"),
        ("POST /livez", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 400, "not a valid HTTP request"),
        ("POST /livez", "Content-Length: 3\r\nContent-Length: 4\r\n", 400, "not a valid HTTP request"),
        ("POST /livez", "Content-Length: -1\r\n", 400, "not a valid HTTP request"),
        ("POST /livez", "Transfer-Encoding: chunked, gzip\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", "X: a\nY: b\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", "X: a\rY: b\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", "X: a\0b\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", "X y: a\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", "X : a\r\n", 400, "not a valid HTTP request"),
        ("GET /livez", " folded: a\r\n", 400, "not a valid HTTP request"),
        ("GET livez", "", 400, "not a valid HTTP request"),
        ("FETCH /livez", "", 400, "not a valid HTTP request"),
        ("GET /\xff", "", 400, "not a valid HTTP request"),
    ],
)
def test_a_head_that_is_too_large_or_no_http_is_refused_with_the_reason(
    address: str, request_line: str, headers: str, status: int, says: str
) -> None:
    with connected(address) as line:
        line.send(f"{request_line} HTTP/1.1\r\n{HOST}{headers}\r\n")
        assert_refused(line, status, says)


def test_what_just_fits_is_answered(address: str) -> None:
    query = "a" * (URL_BYTES_MAX - len("/livez?"))
    headers = "X: y\r\n" * (HEADERS_MAX - 2) + f"Z: {'z' * (HEADERS_BYTES_MAX - 400)}\r\n"
    assert ask(address, f"GET /livez?{query} HTTP/1.1\r\n{HOST}{headers}\r\n").status == 200


@pytest.mark.parametrize("beginning", ["GET /livez HTTP/1.1\r\nX: ", "GET /livez HTTP/1.1\r\nX"])
def test_a_header_without_an_end_is_not_kept_for_long(address: str, beginning: str) -> None:
    with connected(address) as line:
        line.send(beginning + "y" * 100_000)
        assert_refused(line, 431, "16 KiB")


def test_nothing_grows_behind_a_body_in_chunks(address: str) -> None:
    with connected(address) as line:
        line.send(f"{POST}Transfer-Encoding: chunked\r\n\r\n0\r\nX: ")
        while not line.hears(0):
            line.send("y" * 1000)
        assert_refused(line, 431, "16 KiB")


def test_a_request_that_is_no_http_ends_those_before_it_on_the_same_connection(address: str) -> None:
    with connected(address) as line:
        line.send(LIVE)
        assert line.answer().status == 200
        line.send("\x16\x03\x01 is TLS\r\n\r\n")
        assert_refused(line, 400, "not a valid HTTP request")


@pytest.mark.parametrize("beginning", ["", "GET /livez HTTP/1.1\r\n", LIVE])
def test_headers_that_come_byte_by_byte_are_waited_for_in_vain(address: str, beginning: str) -> None:
    """Also where the connection has served a request before."""
    with connected(address) as line:
        line.send(beginning)
        if beginning == LIVE:
            assert line.answer().status == 200
        line.drip(b"X-Long: " + b"y" * 1000 if beginning.endswith("1.1\r\n") else b"GET /" + b"a" * 1000, 0.02)
        assert ask(address, ACCOUNT).status == 200
        assert_refused(line, 408, "in time")


def test_blank_lines_keep_no_connection_open(address: str) -> None:
    with connected(address) as line:
        line.drip(b"\r\n" * 500, 0.02)
        assert_refused(line, 408, "in time")


@pytest.mark.parametrize("length", ["Content-Length: 1000\r\n", "Transfer-Encoding: chunked\r\n"])
def test_a_body_that_comes_byte_by_byte_is_waited_for_in_vain(address: str, length: str) -> None:
    with connected(address) as line:
        line.send(f"{POST}{length}\r\n" + ("3e8\r\n" if "chunked" in length else ""))
        line.drip(b" " * 1000, 0.02)
        assert ask(address, ACCOUNT).status == 200
        assert_refused(line, 408, "in time")


def test_a_large_body_may_take_longer_than_a_small_one(address: str) -> None:
    pieces, piece = 80, b" " * 4096
    with connected(address) as line:
        line.send(f"{POST}Content-Length: {pieces * len(piece)}\r\n\r\n")
        for _ in range(pieces - 1):
            line.send(piece)
            assert not line.hears(0.02)
        line.send(piece)
        assert_problem(line.answer(), 422, "JSON object")


@pytest.mark.parametrize(
    ("path", "status"), [("/v1/nothing", 404), ("/v1/account", 405), ("/v1/predictions", 401), ("/v1/files", 413)]
)
def test_what_is_answered_before_its_body_has_come_is_not_waited_for_longer(
    address: str, path: str, status: int
) -> None:
    token = BEARER if status == 413 else ""
    form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000000000\r\n\r\n"
    with connected(address) as line:
        line.send(f"POST {path} HTTP/1.1\r\n{HOST}{token}{form}")
        assert_problem(line.answer(), status, "")
        line.drip(b" " * 1000, 0.02)
        assert line.until_closed() == b""


def test_a_connection_whose_early_answered_body_still_comes_is_used_again(address: str) -> None:
    with connected(address) as line:
        line.send(f"POST /v1/nothing HTTP/1.1\r\n{HOST}Content-Length: 10\r\n\r\n")
        assert line.answer().status == 404
        line.send(" " * 10 + LIVE)
        assert line.answer().status == 200


def test_requests_sent_at_once_are_answered_in_their_order(address: str) -> None:
    with connected(address) as line:
        line.send(LIVE + ACCOUNT + LIVE)
        assert [line.answer().json() for _ in range(3)][::2] == [{"alive": True}] * 2


def test_when_all_places_are_taken_the_connection_that_was_quiet_for_longest_is_closed(address: str) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(address)) for _ in range(CONNECTIONS)]
        for line in lines:
            line.send(LIVE)
            assert line.answer().status == 200
        lines[0].send(LIVE)
        assert lines[0].answer().status == 200
        assert ask(address, ACCOUNT).status == 200
        assert lines[1].until_closed() == b""
        for line in (lines[0], *lines[2:]):
            line.send(ACCOUNT)
            assert line.answer().status == 200


def test_many_silent_connections_keep_nobody_out(address: str) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(connected(address)) for _ in range(20 * CONNECTIONS)]
        for line in lines[::2]:
            try:
                line.send("GET /livez HTTP/1.1\r\n")
            except OSError:  # closed meanwhile, for another one
                continue
        assert httpx.get(f"{address}/livez").status_code == 200
        assert ask(address, ACCOUNT).status == 200


def test_a_server_whose_places_are_all_at_work_says_so_and_that_it_lives(address: str) -> None:
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            line = stack.enter_context(connected(address))
            line.send(f"{POST}Prefer: wait\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD}")
        until(lambda: ask(address, ACCOUNT).status == 503)
        with connected(address) as surplus:
            surplus.send(ACCOUNT)
            answer = surplus.answer()
            assert_problem(answer, 503, "connections")
            assert answer.headers["x-request-id"]
            assert int(answer.headers["retry-after"]) > 0
            assert surplus.until_closed() == b""
        assert ask(address, LIVE).status == 200
    until(lambda: ask(address, ACCOUNT).status == 200)


def follow(line: Line, path: str) -> bool:
    """Whether there is room for one more stream."""
    line.send(f"GET {path} HTTP/1.1\r\n{HOST}\r\n")
    return line.until_heard(b"\r\n\r\n") == 200


def follow_once_there_is_room(stack: ExitStack, address: str, path: str) -> Line:
    def try_to() -> Line | None:
        line = stack.enter_context(connected(address))
        return line if follow(line, path) else None

    return until(try_to)


def test_an_account_may_have_so_many_streams_and_whoever_leaves_is_not_counted(
    address: str, streams: dict[str, str]
) -> None:
    one, other = (f"GET {path} HTTP/1.1\r\n{HOST}\r\n" for path in streams.values())
    with ExitStack() as stack:
        opened = [follow_once_there_is_room(stack, address, streams["pinion"]) for _ in range(STREAMS_OF_ONE)]
        refused = ask(address, one)
        assert_problem(refused, 429, "Too many open streams. Your account")
        assert int(refused.headers["retry-after"]) > 0
        opened[0].vanish()
        follow_once_there_is_room(stack, address, streams["pinion"])
        for _ in range(STREAMS - STREAMS_OF_ONE):
            follow_once_there_is_room(stack, address, streams["other"])
        assert_problem(ask(address, other), 429, "Too many open streams. This server")


def test_clients_that_leave_before_they_hear_anything_are_not_counted_either(
    address: str, streams: dict[str, str]
) -> None:
    for _ in range(10 * STREAMS):
        with connected(address) as line:
            line.send(f"GET {streams['pinion']} HTTP/1.1\r\n{HOST}\r\n")
            line.vanish()
    with ExitStack() as stack:
        for _ in range(STREAMS_OF_ONE):
            follow_once_there_is_room(stack, address, streams["pinion"])


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("text/event-stream, application/json;q=0.5", 200),
        ("TEXT/*", 200),
        ("*/*", 200),
        ("", 200),
        ("application/json", 406),
        ("text/html,application/xhtml+xml", 406),
        ("text/event-stream;q=0, */*", 406),
        ("text/event-stream;q=0.000, text/*", 406),
        ("text/event-stream;q=0.1", 200),
    ],
)
def test_who_excludes_events_gets_none(address: str, streams: dict[str, str], accept: str, status: int) -> None:
    with connected(address) as line:
        line.send(f"GET {streams['other']} HTTP/1.1\r\n{HOST}Accept: {accept}\r\n\r\n")
        if status == 406:
            assert_problem(line.answer(), 406, "text/event-stream")
        else:
            assert line.until_heard(b": hi") == 200


def test_wrong_tokens_are_counted_for_the_address_that_a_trusted_proxy_names(address: str) -> None:
    def guess(forwarded: str) -> int:
        wrong = "Authorization: Bearer r8_wrong\r\n"
        return ask(address, f"GET /v1/account HTTP/1.1\r\n{HOST}{wrong}X-Forwarded-For: {forwarded}\r\n\r\n").status

    until(lambda: guess("198.51.100.1, 203.0.113.9") == 429)
    assert guess("198.51.100.1, 203.0.113.9, 203.0.113.10") == 401
    assert ask(address, ACCOUNT).status == 200
