"""The outside of the API: its three addresses, its tokens, its errors, and what it says in an outage."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from sqlalchemy import delete
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from shared.settings import Settings
from shared.tables import Token
from tests.database_fixtures import TOKEN, Backend, Rows, outage, until
from tests.servers import break_connections

PATH = "/v1/predictions"
WRONG_TOKEN = "r8_" + "w" * 37


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
async def test_every_base_address_that_a_client_may_have_leads_to_the_api(
    client: httpx.AsyncClient, rows: Rows, prefix: str
) -> None:
    answer = await client.post(f"{prefix}/predictions", json={"version": rows.version_id, "input": {}})
    assert answer.status_code == 201
    shown = answer.json()
    assert (await client.get(f"{prefix}/predictions/{shown['id']}")).json() == shown
    assert shown["urls"]["get"] == f"http://pinion.test{PATH}/{shown['id']}"
    assert (await client.get(f"{prefix}/account")).json()["username"] == "pinion"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/v1/v1/account", "/v10/account", "/v1v1/account", "/v2/account"]
)
async def test_other_addresses_lead_nowhere(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["detail"] == "The requested resource could not be found."


async def test_health_and_document_need_no_token_and_no_version(client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    assert (await client.get("/livez")).json() == {"alive": True}
    assert (await client.get("/readyz")).json() == {"database": True, "redis": True}
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "Pinion"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token", "token", "BEARER"])
async def test_both_schemes_of_the_official_clients_work(client: httpx.AsyncClient, scheme: str) -> None:
    answer = await client.get("/v1/account", headers={"Authorization": f"{scheme} {TOKEN}"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {WRONG_TOKEN}", f"Bearer {TOKEN}x", "Bearer \xff"],
)
async def test_without_a_valid_token_nothing_is_told(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/v1/account", headers=[(b"authorization", header.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    is_there = header.partition(" ")[0] == "Bearer" and header.partition(" ")[2]
    detail = f"You did not pass {'a valid' if is_there else 'an'} authentication token"
    assert answer.json() == {"title": "Unauthenticated", "detail": detail, "status": 401}


async def test_of_two_tokens_none_is_taken(client: httpx.AsyncClient) -> None:
    header = (b"authorization", f"Bearer {TOKEN}".encode())
    del client.headers["authorization"]
    assert (await client.get("/v1/account", headers=[header])).status_code == 200
    answer = await client.get("/v1/account", headers=[header, header])
    assert (answer.status_code, answer.json()["detail"]) == (401, "You did not pass an authentication token")


async def test_an_address_that_exists_and_one_that_does_not_ask_for_the_token_alike(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    row = await rows.waiting()
    client.headers["authorization"] = f"Bearer {WRONG_TOKEN}"
    known, unknown = [await client.get(f"{PATH}/{which}") for which in (row.id, "x" * 26)]
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)


async def test_a_token_that_was_taken_back_stops_working_within_seconds(
    client: httpx.AsyncClient, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await client.get("/v1/account")).status_code == 200
    async with rows.database.transaction() as transaction:
        await transaction.execute(delete(Token))
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr("api.callers.monotonic", lambda: now + 6)
    assert (await client.get("/v1/account")).status_code == 401


async def test_a_known_token_is_not_asked_for_at_every_request(client: httpx.AsyncClient, rows: Rows) -> None:
    assert (await client.get("/v1/account")).status_code == 200
    async with rows.database.transaction() as transaction:
        await transaction.execute(delete(Token))
    assert (await client.get("/v1/account")).status_code == 200


async def test_a_new_token_works_at_once_although_it_was_refused_before(client: httpx.AsyncClient, rows: Rows) -> None:
    client.headers["authorization"] = f"Bearer {WRONG_TOKEN}"
    assert (await client.get("/v1/account")).status_code == 401
    await rows.add_token(WRONG_TOKEN)
    assert (await client.get("/v1/account")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status"),
    [
        ("GET", f"{PATH}/unknown", b"", {}, 404),
        ("GET", "/v1/models/nobody/nothing", b"", {}, 404),
        ("DELETE", PATH, b"", {}, 405),
        ("POST", PATH, b"{", {}, 400),
        ("POST", PATH, b"[]", {}, 422),
        ("POST", PATH, b"", {}, 422),
        ("POST", PATH, b"{}", {"content-type": "text/plain"}, 415),
        ("POST", PATH, b"{}", {"content-encoding": "gzip"}, 415),
        ("POST", "/v1/models/nobody/echo/versions", b"", {}, 403),
        ("POST", "/v1/models/pinion/UPPER/versions", b"", {}, 422),
        ("POST", "/v1/models/pinion/echo/versions", b"no tar", {}, 422),
    ],
)
async def test_every_error_has_one_form(
    client: httpx.AsyncClient, method: str, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, path, content=content, headers=headers)
    body = answer.json()
    assert (answer.status_code, body["status"]) == (status, status), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["title"]
    assert body["detail"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (PATH, "GET, POST"),
        ("/models", "GET, POST, QUERY"),
        ("/v1/models/pinion/echo/", "DELETE, GET, PATCH"),
        ("/livez", "GET"),
    ],
)
async def test_a_method_that_is_not_allowed_is_told_which_are(
    client: httpx.AsyncClient, path: str, methods: str
) -> None:
    answer = await client.put(path)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)


async def test_a_body_that_is_too_large_is_refused_whether_announced_or_not(
    client: httpx.AsyncClient, settings: Settings
) -> None:
    client._transport.app.state.services.settings = settings.model_copy(update={"max_body_bytes": 100})  # type: ignore[attr-defined]

    async def pieces() -> Any:
        for _ in range(11):
            yield b" " * 10

    assert (await client.post(PATH, content=b" " * 101)).status_code == 413
    assert (await client.post(PATH, content=pieces())).status_code == 413
    assert (await client.post(PATH, content=b" " * 100)).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        f"{PATH}/%00",
        f"{PATH}/a%00b",
        f"{PATH}/%ff",
        f"{PATH}/{'x' * 5000}",
        f"{PATH}/%ed%a0%80",
        "/v1/models/%00/echo",
        "/v1/models/pinion/%00",
        "/v1/models/pinion/echo/versions/%00",
        "/v1/models/pinion/%00/versions",
        "/v1/streams/%00",
        f"/v1/streams/{'%00' * 52}",
    ],
)
async def test_an_address_no_name_can_have_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404, answer.text


async def test_canceling_an_address_no_name_can_have_finds_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{PATH}/%00/cancel")).status_code == 404


async def test_in_an_outage_of_the_database_the_api_says_so_and_comes_back_by_itself(
    servers: Backend, client: httpx.AsyncClient, rows: Rows
) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite goes on reading whoever holds its lock")
    row = await rows.waiting()
    async with outage(servers):
        answers = [await client.get(f"{PATH}/{row.id}") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].headers["retry-after"]
        assert answers[0].headers["content-type"] == "application/problem+json"
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
    await until(lambda: _is_found(client, row.id))
    assert (await client.get("/readyz")).status_code == 200


async def _is_found(client: httpx.AsyncClient, prediction_id: str) -> bool:
    return (await client.get(f"{PATH}/{prediction_id}")).status_code == 200


async def test_connections_that_broke_meanwhile_are_never_an_internal_error(
    servers: Backend, client: httpx.AsyncClient, rows: Rows
) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite has no connections that could break")
    row = await rows.waiting()
    await asyncio.gather(*(client.get(f"{PATH}/{row.id}") for _ in range(5)))
    await asyncio.to_thread(break_connections, servers.database_url)
    answers = await asyncio.gather(*(client.get(f"{PATH}/{row.id}") for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert (await client.get(f"{PATH}/{row.id}")).status_code == 200


@pytest.mark.parametrize("own", ["7f1e-42", "req_01JABC", "Root=1-67891233-abcdef012345678912345678", "a" * 128])
async def test_a_request_keeps_the_id_that_its_client_gave_it(client: httpx.AsyncClient, own: str) -> None:
    for path in ("/livez", "/v1/account", "/v1/nothing"):
        assert (await client.get(path, headers={"X-Request-Id": own})).headers["x-request-id"] == own


@pytest.mark.parametrize("own", ["", "a" * 129, "two words", "<script>", "a,b", "\xe9", 'a"', "a;b"])
async def test_what_is_no_id_is_replaced_and_not_repeated(client: httpx.AsyncClient, own: str) -> None:
    answers = [await client.get("/livez", headers=[(b"x-request-id", own.encode("latin-1"))]) for _ in range(2)]
    first, second = (answer.headers["x-request-id"] for answer in answers)
    assert re.fullmatch("[a-z2-7]{26}", first)
    assert first != second


async def test_of_two_ids_none_is_taken(client: httpx.AsyncClient) -> None:
    answer = await client.get("/livez", headers=[(b"x-request-id", b"one"), (b"x-request-id", b"two")])
    assert answer.headers["x-request-id"] not in ("one", "two")


async def test_a_failure_of_ours_is_found_in_the_log_by_the_id_of_its_answer(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr("api.callers.Callers.find", fail)
    with capture_logs([merge_contextvars]) as logs:
        answer = await client.get("/v1/account")
    assert answer.status_code == 500
    assert "X-Request-Id" in answer.json()["detail"]
    [line] = [line for line in logs if line["event"] == "unexpected failure"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "nobody thought" not in answer.text


async def test_what_a_client_sent_stands_in_no_log(servers: Backend, client: httpx.AsyncClient, rows: Rows) -> None:
    if servers.name == "embedded":
        pytest.skip("SQLite has no connections that could break")
    body = {"version": rows.version_id, "input": {"text": "my secret"}}
    await client.post(PATH, json=body)  # from now on account and version are known, and storing is all that is left
    await asyncio.to_thread(break_connections, servers.database_url)
    with capture_logs() as logs:
        for _ in range(3):
            await client.post(PATH, json=body)
    assert "my secret" not in " ".join(str(value) for entry in logs for value in entry.values())
