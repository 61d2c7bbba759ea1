"""Requests that cannot be meant, sent to a real server: what each is told, and that nothing is stored."""

import pytest

from tests.raw_http import ask, connected
from tests.raw_requests import BEARER, GOOD, HOST, POST, assert_problem, get, post

pytest_plugins = ("tests.bounded_api",)

FORM = "Content-Type: multipart/form-data; boundary=b\r\n"
PREFLIGHT = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
JSON = "Content-Type: application/json\r\n"


def as_host(*hosts: str) -> str:
    return "GET /v1/account HTTP/1.1\r\n" + "".join(f"Host: {host}\r\n" for host in hosts) + f"{BEARER}\r\n"


WRONG_TOKENS = ("r8_wrong", "' OR 1=1 --", "\xff\xfe", "x" * 15_000, "*)(uid=*")
NO_HOSTS = ("", "a b", "a/b", "a@b", "<b>", "[::1", "ä", "a:b", "a:")
REFUSED = {
    "a path that is not there": (get("/v1/nothing"), 404, "could not be found"),
    "a method that is not there": (get("/v1/predictions").replace("GET", "PUT"), 405, "not allowed"),
    "the server as a whole": ("OPTIONS * HTTP/1.1\r\n" + HOST + "\r\n", 404, "could not be found"),
    "a tunnel": ("CONNECT example.com:80 HTTP/1.1\r\n" + HOST + "\r\n", 400, "not a valid HTTP request"),
    "another protocol": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "not a valid HTTP request"),
    "a text for JSON": (post("Content-Type: text/plain\r\n"), 415, "application/json"),
    "a body too large, announced": (f"{POST}Content-Length: 104857601\r\n\r\n", 413, "16 MiB"),
    "a body too large, in chunks": (
        f"{POST}Transfer-Encoding: chunked\r\n\r\n" + f"100000\r\n{' ' * 0x100000}\r\n" * 17,
        413,
        "16 MiB",
    ),
    "an upload too large": (
        f"POST /v1/files HTTP/1.1\r\n{HOST}{BEARER}{FORM}Content-Length: 109000000\r\n\r\n",
        413,
        "100 MiB",
    ),
    "compressed JSON": (post(JSON + "Content-Encoding: gzip\r\n"), 415, "Compressed"),
    "a compressed upload": (post(FORM + "Content-Encoding: br\r\n", path="/v1/files"), 415, "Compressed"),
    "line breaks in a webhook": (
        post(JSON, GOOD.replace("{}", '{}, "webhook": "http://a.example/\\r\\nX: y"')),
        422,
        "control characters",
    ),
    "a lifetime of a hundred years": (post(JSON + "Cancel-After: 100y\r\n"), 422, "90s, 5m"),
    "no lifetime": (post(JSON + "Cancel-After: banana\r\n"), 422, "90s, 5m"),
    "too short a lifetime": (post(JSON + "Cancel-After: 0\r\n"), 422, "90s, 5m"),
    "too long a key": (post(JSON + f"Idempotency-Key: {'a' * 256}\r\n"), 422, "255"),
    "a body and another protocol": (post(JSON + "Connection: Upgrade\r\nUpgrade: h2c\r\n"), 400, "without the Upgrade"),
    "chunks and another protocol": (
        f"{POST}Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "without the Upgrade",
    ),
    "no host": (as_host(), 400, "Host header"),
    "two hosts": (as_host("a", "b"), 400, "Host header"),
    **{
        f"the host {host!r}": (as_host(host), 400, "Host header")
        for host in ("", "a b", "a/b", "a@b", "<b>", "[::1", "ä")
    },
    "no token": (get("/v1/account", ""), 401, "an authentication token"),
    "an empty token": (get("/v1/account", "Authorization: Bearer  \r\n"), 401, "an authentication token"),
    "another scheme": (get("/v1/account", "Authorization: Basic eA==\r\n"), 401, "an authentication token"),
    "two tokens": (get("/v1/account", BEARER * 2), 401, "an authentication token"),
    "a stream of nobody": (get(f"/v1/streams/{'a' * 52}"), 404, "could not be found"),
    "a file without its signature": (get(f"/v1/files/{'a' * 26}/download"), 404, "not found"),
    "a preflight from elsewhere": (
        get("/v1/predictions", "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n").replace(
            "GET", "OPTIONS"
        ),
        405,
        "not allowed",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_meant_is_refused_in_the_one_form_of_all_problems(address: str, what: str) -> None:
    request, status, says = REFUSED[what]
    before = ask(address, get("/v1/predictions")).json()["results"]
    answer = ask(address, request)
    assert_problem(answer, status, says)
    assert answer.headers["x-request-id"]
    assert "access-control-allow-origin" not in answer.headers
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert ("allow" in answer.headers) == (status == 405)
    assert ask(address, get("/v1/predictions")).json()["results"] == before


@pytest.mark.parametrize(("place", "token"), list(enumerate(WRONG_TOKENS)))
def test_every_wrong_token_is_wrong_in_the_same_words(address: str, place: int, token: str) -> None:
    wrong = f"Authorization: Bearer {token}\r\nX-Forwarded-For: 192.0.2.{place}\r\n"
    assert_problem(ask(address, get("/v1/account", wrong)), 401, "You did not pass a valid authentication token")


@pytest.mark.parametrize(
    "request_line",
    ["GET /v1/account HTTP/1.0", "GET http://elsewhere.example/v1/account HTTP/1.1", "GET /v1/account/ HTTP/1.1"],
)
def test_older_http_and_whole_addresses_are_understood(address: str, request_line: str) -> None:
    answer = ask(address, f"{request_line}\r\n{HOST}{BEARER}Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
    assert (answer.status, answer.json()["username"]) == (200, "pinion")


@pytest.mark.parametrize("seen", ["garbage", "9:9", "1:99999", "-1:0", "1:0\x80", "", "9" * 5000])
def test_an_event_id_that_cannot_be_ours_breaks_nothing(address: str, streams: dict[str, str], seen: str) -> None:
    with connected(address) as line:
        line.send(f"GET {streams['other']} HTTP/1.1\r\n{HOST}Last-Event-ID: {seen}\r\n\r\n")
        assert line.until_heard(b": hi") == 200
