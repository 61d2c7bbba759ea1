"""Requests that are wrong: each is refused at once, in the one form of all problems, and leaves nothing behind."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.instance import Api, Instance

REFUSED_SECONDS = 10.0
MEGABYTE = 1024 * 1024
JSON = ("content-type", "application/json")


@dataclass(frozen=True)
class Refusal:
    """A request, and what is wrong with it."""

    what: str
    status: int
    says: str
    body: Any = None
    """Sent as it is when bytes, else as JSON."""
    names: str | None = None
    """A field that `invalid_fields` has."""
    method: str = "POST"
    path: str = "/predictions"
    headers: tuple[tuple[str, str], ...] = (JSON,)


def authorized(value: str) -> tuple[tuple[str, str], ...]:
    return (JSON, ("authorization", value))


def nested(levels: int) -> bytes:
    """A good body with so many levels, the body itself and `input` among them."""
    inner = b'{"a":' * (levels - 2) + b"1" + b"}" * (levels - 2)
    return b'{"version":"pinion/takes_everything","input":{"extra":' + inner + b"}}"


def wanting(**keys: Any) -> dict[str, Any]:
    """A good body, but for these keys."""
    return {"version": "pinion/takes_everything", "input": {}, **keys}


def given(**inputs: Any) -> dict[str, Any]:
    return wanting(input=inputs)


def raw(text: str) -> bytes:
    return f'{{"version":"pinion/takes_everything","input":{{{text}}}}}'.encode()


INPUTS = [
    Refusal("text for an integer", 422, "integer", given(count="many"), "input.count"),
    Refusal("an integer as text", 422, "integer", given(count="5"), "input.count"),
    Refusal("a fraction for an integer", 422, "integer", given(count=1.5), "input.count"),
    Refusal("a truth value for an integer", 422, "integer", given(count=True), "input.count"),
    Refusal("text for a number", 422, "number", given(scale="wide"), "input.scale"),
    Refusal("a list for text", 422, "string", given(hint=["a"]), "input.hint"),
    Refusal("null where there must be a value", 422, "null", given(count=None), "input.count"),
    Refusal("none of the choices", 422, "small", given(size="huge"), "input.size"),
    Refusal("none of the literals", 422, "fast", given(mode="slow"), "input.mode"),
    Refusal(
        "a number below the minimum", 422, "0", {"version": "pinion/counts_slowly", "input": {"to": -1}}, "input.to"
    ),
    Refusal("a missing input", 422, "text is required", wanting(version="pinion/echo"), "input"),
    Refusal("an input that is a list", 422, "input", wanting(input=[]), "input"),
    Refusal("an input that is null", 422, "input", wanting(input=None), "input"),
    Refusal("a path for a file", 422, "http, https or data", given(file="/etc/passwd"), "input.file"),
    Refusal("a file that is damaged", 422, "base64 is damaged", given(file="data:;base64,a$b="), "input.file"),
    Refusal("a file of a cloud's host", 422, "private or res", given(file="http://169.254.169.254/"), "input.file"),
    Refusal("a file of a private host", 422, "private or res", given(file="http://0xa000001/a.png"), "input.file"),
    Refusal("a file of the server", 422, "http, https or data", given(file="file:///etc/passwd"), "input.file"),
    Refusal(
        "a file by FTP, in a list", 422, "http, https or data", given(files=["data:,a", "ftp://a/b"]), "input.files.1"
    ),
    Refusal("NUL in a text", 422, "NUL", given(hint="a\0b")),
    Refusal("NUL in a key", 422, "NUL", wanting(input={"a\0b": 1})),
    Refusal("NaN", 422, "NaN", raw('"scale":NaN')),
    Refusal("minus infinity", 422, "not valid|Infinity", raw('"scale":-Infinity')),
    Refusal("a number too large for any machine", 422, "out of range", raw('"scale":1e999')),
]
BODIES = [
    Refusal("no version", 422, "version is required", {"input": {}}, ""),
    Refusal("no input", 422, "input is required", {"version": "pinion/echo"}, ""),
    Refusal("a version that is a number", 422, "version", wanting(version=1), "version"),
    Refusal("an unknown key", 422, "inputs is not allowed", wanting(inputs={}), ""),
    Refusal(
        "a version at a model's own door", 422, "not allowed", wanting(), "", path="/models/pinion/echo/predictions"
    ),
    Refusal("an empty body", 422, "JSON object", b""),
    Refusal("a body of blanks", 422, "JSON object", b" \n"),
    Refusal("a list as body", 422, "JSON object", []),
    Refusal("text as body", 422, "JSON object", "version"),
    Refusal("null as body", 422, "JSON object", b"null"),
    Refusal("a syntax error", 400, "line 1, column", b'{"version": }'),
    Refusal("half a body", 400, "not valid JSON", b'{"version": "pinion/echo", "input'),
    Refusal("two bodies", 400, "not valid JSON", b"{} {}"),
    Refusal("bytes that are no text", 400, "UTF-8|not valid", b'{"version": "\xff"}'),
    Refusal("65 levels", 422, "nested too deeply", nested(65)),
    Refusal("100,000 levels", 422, "nested too deeply", nested(100_000)),
    Refusal("100,000 open brackets", 422, "nested too deeply", b"[" * 100_000),
    Refusal("a million values", 422, "too many values", raw('"extra":[' + "0," * 1_000_000 + "0]")),
    Refusal("20 MB", 413, "larger than 16 MiB", raw('"hint":"' + "a" * (20 * MEGABYTE) + '"')),
    Refusal(
        "a form", 415, "application/json", b"a=b", headers=(("content-type", "application/x-www-form-urlencoded"),)
    ),
    Refusal("text", 415, "application/json", raw(""), headers=(("content-type", "text/plain"),)),
    Refusal("compressed", 415, "ompressed", b"\x1f\x8b", headers=(JSON, ("content-encoding", "gzip"))),
]
WEBHOOKS = [
    Refusal(f"the webhook {url}", 422, says, wanting(webhook=url), "webhook")
    for url, says in {
        "http://169.254.169.254/latest/meta-data": "private or reserved",
        "http://10.0.0.1/hook": "private or reserved",
        "http://192.168.1.1:8080/": "private or reserved",
        "http://[::1]/": "private or reserved",
        "http://[::ffff:10.0.0.1]/": "private or reserved",
        "http://0xa000001/": "private or reserved",
        "ftp://example.com/hook": "http or https",
        "example.com/hook": "http or https",
        "http://": "host",
        "http://example.com:99999/": "URL|port",
        "http://example.com:0/": "port",
        "http://example.com:6379/": "port 6379",
        "https://example.com:22/": "port 22",
        "http://exa mple.com/": "blanks",
        "http://example.com/#part": "fragment",
        "http://example.com/" + "a" * 2048: "2048",
    }.items()
] + [
    Refusal("a webhook that is a number", 422, "webhook", wanting(webhook=1), "webhook"),
    Refusal(
        "an unknown event",
        422,
        "completed",
        wanting(webhook="https://example.com", webhook_events_filter=["completed", "finished"]),
        "webhook_events_filter.1",
    ),
    Refusal(
        "a filter that is no list",
        422,
        "list",
        wanting(webhook="https://example.com", webhook_events_filter="completed"),
        "webhook_events_filter",
    ),
]
NAMES = [
    Refusal("a version that is not there", 422, "does not exist", wanting(version="a" * 64)),
    Refusal("a version that cannot be", 422, "does not exist", wanting(version="../../etc/passwd")),
    Refusal("a model that is not there", 422, "does not exist", wanting(version="pinion/nobody")),
    Refusal("a version of another model", 422, "does not exist", wanting(version="pinion/echo:" + "a" * 64)),
    Refusal("the door of no model", 404, "not be found", {"input": {}}, path="/models/pinion/nobody/predictions"),
    Refusal("a prediction that is not there", 404, "not be found", method="GET", path="/predictions/" + "a" * 26),
    Refusal("a cancel of nothing", 404, "not be found", path=f"/predictions/{'a' * 26}/cancel"),
    Refusal("a model to read that is not there", 404, "not be found", method="GET", path="/models/pinion/nobody"),
    Refusal("a path that is not there", 404, "not be found", method="GET", path="/nothing"),
    Refusal("a method that is not there", 405, "not allowed", method="DELETE"),
    Refusal("a cursor of somebody else", 400, "cursor", method="GET", path="/predictions?cursor=bm9uc2Vuc2U="),
    Refusal("no token", 401, "authentication token", wanting(), headers=authorized("")),
    Refusal("an unknown token", 401, "authentication token", wanting(), headers=authorized("Bearer r8_x")),
    Refusal("an unknown scheme", 401, "authentication token", wanting(), headers=authorized("Basic eA==")),
]


@pytest.fixture
def models(instance: Instance) -> None:
    for folder in ("takes_everything", "counts_slowly", "echo"):
        instance.model(folder)


@pytest.fixture
def unchanged(models: None, api: Api) -> Iterator[None]:
    """Nothing may be stored meanwhile."""
    before = ids_of_predictions(api)
    yield
    assert ids_of_predictions(api) == before


def ids_of_predictions(api: Api) -> list[str]:
    return [prediction["id"] for prediction in api.get("/predictions").json()["results"]]


def send(api: httpx.Client, wrong: Refusal) -> httpx.Response:
    body = wrong.body if isinstance(wrong.body, bytes | None) else json.dumps(wrong.body).encode()
    return api.request(wrong.method, wrong.path, content=body, headers=dict(wrong.headers))


@pytest.mark.parametrize("wrong", INPUTS + BODIES + WEBHOOKS + NAMES, ids=lambda wrong: wrong.what[:40])
def test_is_refused_at_once_with_the_reason_and_nothing_is_stored(unchanged: None, api: Api, wrong: Refusal):
    asked = time.monotonic()
    answer = send(api, wrong)
    assert time.monotonic() - asked < REFUSED_SECONDS
    assert answer.status_code == wrong.status, answer.text
    assert_problem(answer, wrong)


def assert_problem(answer: httpx.Response, wrong: Refusal) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert isinstance(problem["title"], str)
    assert isinstance(problem["detail"], str)
    assert matches(wrong.says, problem["detail"])
    if wrong.names is not None:
        [entry] = [entry for entry in problem["invalid_fields"] if entry["field"] == wrong.names]
        assert set(entry) == {"type", "field", "description"}
        assert entry["description"] in problem["detail"]


def matches(says: str, detail: str) -> bool:
    return any(each in detail for each in says.split("|"))


def test_everything_that_is_wrong_is_said_at_once(unchanged: None, api: Api):
    problem = api.post("/predictions", json=given(count="many", size="huge")).json()
    assert {entry["field"] for entry in problem["invalid_fields"]} == {"input.count", "input.size"}
    assert len(problem["detail"].splitlines()) == 2


def test_64_levels_and_unknown_inputs_are_fine(models: None, api: Api):
    answer = api.post("/predictions", content=nested(64), headers=dict([JSON]))
    assert answer.status_code == 201, answer.text


def test_a_webhook_to_this_machine_is_refused_unless_allowed(instance: Instance, models: None):
    with instance.another_api(PINION_WEBHOOK_ALLOW_CIDRS="") as address:
        headers = {"authorization": f"Bearer {instance.token}"}
        for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "api.localhost"):
            body = wanting(webhook=f"http://{host}:9/hook")
            answer = httpx.post(f"{address}/v1/predictions", json=body, headers=headers)
            assert answer.status_code == 422
            assert_problem(answer, Refusal(host, 422, "private or reserved", names="webhook"))
