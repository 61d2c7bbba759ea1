"""Requests byte by byte for the server of `bounded_api`, and what all its refusals have in common."""

from tests.database_fixtures import TOKEN
from tests.raw_http import RawAnswer

CONNECTIONS = 9
STREAMS = 5
STREAMS_OF_ONE = 3
BOUNDS = {
    "PINION_HEAD_SECONDS": "0.5",
    "PINION_BODY_SECONDS": "0.5",
    "PINION_MAX_CONNECTIONS": str(CONNECTIONS),
    "PINION_MAX_STREAMS": str(STREAMS),
    "PINION_STREAMS_PER_ACCOUNT": str(STREAMS_OF_ONE),
    "PINION_RATE_LIMITS": "true",
    "PINION_WRONG_TOKENS_PER_MINUTE": "1",
}
HOST = "Host: pinion.test\r\n"
BEARER = f"Authorization: Bearer {TOKEN}\r\n"
LIVE = f"GET /livez HTTP/1.1\r\n{HOST}\r\n"
ACCOUNT = f"GET /v1/account HTTP/1.1\r\n{HOST}{BEARER}\r\n"
GOOD = '{"version": "pinion/echo", "input": {}}'
POST = f"POST /v1/predictions HTTP/1.1\r\n{HOST}{BEARER}Content-Type: application/json\r\n"


def get(path: str, headers: str = BEARER) -> str:
    return f"GET {path} HTTP/1.1\r\n{HOST}{headers}\r\n"


def post(headers: str, body: str = GOOD, path: str = "/v1/predictions") -> str:
    return f"POST {path} HTTP/1.1\r\n{HOST}{BEARER}{headers}Content-Length: {len(body)}\r\n\r\n{body}"


def assert_problem(answer: RawAnswer, status: int, says: str) -> None:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) >= {"title", "detail", "status"}
    assert problem["status"] == status
    assert says in problem["detail"]
