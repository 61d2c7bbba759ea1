"""Which server and which token a command uses, and how it words an error.

No server is asked, but for one that is not there.
"""

from pathlib import Path

import httpx
import pytest

from cli import home
from cli.client import answer, connect, find_base, find_token
from cli.failure import Failure

HERE = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("url", "environment", "base"),
    [
        (None, {}, HERE),
        (None, {"PINION_PORT": "8001"}, "http://127.0.0.1:8001"),
        (None, {"REPLICATE_BASE_URL": "https://pinion.example/v1/", "PINION_PORT": "8001"}, "https://pinion.example"),
        ("https://b.example/pinion", {"REPLICATE_BASE_URL": "https://a.example"}, "https://b.example/pinion"),
    ],
)
def test_the_nearest_word_decides_the_server(
    tmp_path: Path, url: str | None, environment: dict[str, str], base: str
) -> None:
    assert find_base(url, tmp_path, environment) == base


def test_where_up_last_listened_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text('{"pid": 1, "address": "http://127.0.0.1:9999"}')
    assert find_base(None, tmp_path, {}) == "http://127.0.0.1:9999"


def test_an_address_without_a_scheme_is_explained(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="localhost:8000 is not an address of a server"):
        find_base("localhost:8000", tmp_path, {})


def test_the_token_kept_here_is_sent_to_the_server_here_only(tmp_path: Path) -> None:
    kept = home.obtain_token(tmp_path)
    assert find_token(HERE, tmp_path, {}) == kept
    assert find_token("https://pinion.example", tmp_path, {}) is None


@pytest.mark.parametrize("base", [HERE, "https://pinion.example"])
def test_a_token_that_is_set_comes_before_the_one_kept_here(tmp_path: Path, base: str) -> None:
    home.obtain_token(tmp_path)
    both = {"PINION_API_TOKEN": "r8_ours", "REPLICATE_API_TOKEN": "r8_theirs"}
    assert find_token(base, tmp_path, {"REPLICATE_API_TOKEN": "r8_theirs"}) == "r8_theirs"
    assert find_token(base, tmp_path, both) == "r8_ours"


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (
            httpx.Response(404, json={"title": "Not found", "detail": "No such model.\n", "status": 404}),
            "Not found: No",
        ),
        (
            httpx.Response(422, json={"detail": "- input: prompt is required\n"}),
            "HTTP 422: - input: prompt is required",
        ),
        (
            httpx.Response(401, json={"title": "Unauthenticated", "detail": "no"}),
            "no .the token is that of PINION",
        ),
        (httpx.Response(502, text="<html>"), "HTTP 502: unexpected answer from http://a/"),
        (httpx.Response(200, json=["no", "object"]), "HTTP 200: unexpected answer"),
    ],
)
def test_an_error_is_one_readable_message(response: httpx.Response, sentence: str) -> None:
    response.request = httpx.Request("GET", "http://a/")
    with pytest.raises(Failure, match=sentence):
        answer(response)


def test_a_server_that_is_not_there_is_said_with_the_way_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINION_API_TOKEN", raising=False)
    sentence = "Nothing answers at http://127.0.0.1:1: start it with ./pinion up"
    with pytest.raises(Failure, match=sentence), connect("http://127.0.0.1:1") as client:
        client.get("/account")
