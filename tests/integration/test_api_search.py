"""Search: three ways to send the same words, what they find and in which order, and whose models are found."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from shared.contract import Visibility
from shared.database import clock
from shared.ids import new_id
from shared.tables import Model
from tests.database_fixtures import Rows

ENCODINGS = {
    "python 1": ("text/plain", lambda text: text),
    "javascript": ("text/plain;charset=UTF-8", json.dumps),
    "python 2": ("application/json", json.dumps),
}


async def add(rows: Rows, name: str, **changes: Any) -> None:
    values = {
        "id": new_id(),
        "account_id": rows.account_id,
        "owner": rows.username,
        "name": name,
        "created_at": clock(),
    }
    async with rows.database.transaction() as transaction:
        await transaction.execute(insert(Model).values(**{**values, "visibility": Visibility.PUBLIC, **changes}))


async def found(client: httpx.AsyncClient, text: str | bytes, media_type: str = "text/plain") -> list[str]:
    answer = await client.request("QUERY", "/v1/models", content=text, headers={"content-type": media_type})
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert (page["next"], page["previous"]) == (None, None)
    return [model["name"] for model in page["results"]]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1"])
async def test_every_client_may_write_the_query_in_its_own_way(
    client: httpx.AsyncClient, rows: Rows, encoding: str, prefix: str
) -> None:
    media_type, encode = ENCODINGS[encoding]
    await add(rows, "llama", description='speaks "über" alles')
    for text in ("llama", "  llama\n", 'speaks "über"', "über"):
        content = encode(text).encode()
        answer = await client.request(
            "QUERY", f"{prefix}/models", content=content, headers={"content-type": media_type}
        )
        assert [model["name"] for model in answer.json()["results"]] == ["llama"], text


async def test_text_that_is_no_json_text_is_searched_for_as_it_is(client: httpx.AsyncClient, rows: Rows) -> None:
    await add(rows, "t5-3", description='says "hi')
    assert await found(client, '"hi', "application/json") == ["t5-3"]
    assert await found(client, "3", "application/json") == ["t5-3"]


async def test_the_place_of_a_word_decides_the_order(client: httpx.AsyncClient, rows: Rows) -> None:
    await add(rows, "a-readme", readme="like CLIP")
    await add(rows, "b-description", description="a Clip model")
    await add(rows, "my-clip")
    await add(rows, "clip-large")
    await add(rows, "clip")
    await add(rows, "c-owner", owner="clipper", account_id=rows.account_id)
    assert await found(client, "cLiP") == ["clip", "clip-large", "my-clip", "c-owner", "b-description", "a-readme"]


async def test_of_equal_ones_the_newest_comes_first(client: httpx.AsyncClient, rows: Rows) -> None:
    for number in range(3):
        await add(rows, f"x-{number}", created_at=clock(number))
    assert await found(client, "x-") == ["x-2", "x-1", "x-0"]


async def test_every_word_must_stand_somewhere(client: httpx.AsyncClient, rows: Rows) -> None:
    await add(rows, "cat", description="draws cats")
    await add(rows, "dog", description="draws dogs")
    assert await found(client, "draws cat") == ["cat"]
    assert await found(client, "draws") == ["dog", "cat"]
    assert await found(client, "pinion/dog") == ["dog"]
    assert await found(client, "draws birds") == []


@pytest.mark.parametrize("text", ["%", "_", "100%", "\\", "'", "';--", "[a]", "\u202e", "🦀", "\0cat"])
async def test_signs_that_mean_something_to_a_database_mean_nothing_here(
    client: httpx.AsyncClient, rows: Rows, text: str
) -> None:
    await add(rows, "cat", description="plain")
    expected = ["cat"] if "cat" in text else []
    assert await found(client, text.encode()) == expected
    assert await found(client, json.dumps(text)) == expected
    await add(rows, "odd", description=f"so {text.strip(chr(0))} is here")
    assert "odd" in await found(client, text.encode())


async def test_only_what_may_be_seen_is_found(client: httpx.AsyncClient, rows: Rows) -> None:
    ada = await Rows.made(rows.database, "ada")
    await add(ada, "cat", visibility=Visibility.PRIVATE)
    await add(ada, "shown-cat")
    await add(rows, "my-cat", visibility=Visibility.PRIVATE)
    await add(rows, "old-cat", removed_at=clock())
    assert sorted(await found(client, "cat")) == ["my-cat", "shown-cat"]
    everything = (await client.get("/v1/search", params={"query": "cat"})).json()
    assert sorted(each["model"]["name"] for each in everything["models"]) == ["my-cat", "shown-cat"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "required"),
        (b"  \n", "required"),
        (b'""', "required"),
        (b"/", "required"),
        (b"\xff", "UTF-8"),
        (b"x" * 501, "500 characters"),
        (b"a b c d e f g h i j k", "10 words"),
    ],
)
async def test_a_query_that_says_nothing_or_too_much_is_refused(
    client: httpx.AsyncClient, content: bytes, words: str
) -> None:
    answer = await client.request("QUERY", "/v1/models", content=content)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)
    assert words in answer.json()["detail"]


async def test_a_body_that_goes_on_and_on_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    answer = await client.request("QUERY", "/v1/models", content=b"x" * 5000)
    assert answer.status_code == 413
    assert "500 characters" in answer.json()["detail"]


async def test_search_tells_models_with_scores_and_nothing_it_does_not_know(
    client: httpx.AsyncClient, rows: Rows
) -> None:
    await add(rows, "clip")
    await add(rows, "clip-large", description="sees")
    answer = (await client.get("/v1/search", params={"query": "clip"})).json()
    assert (answer["query"], answer["collections"], answer["pages"]) == ("clip", [], [])
    assert [each["model"]["name"] for each in answer["models"]] == ["clip", "clip-large"]
    scores = [each["metadata"].pop("score") for each in answer["models"]]
    assert scores == pytest.approx([1.0, 0.8])
    assert [each["metadata"] for each in answer["models"]] == [{"generated_description": None, "tags": []}] * 2
    first = (await client.get("/v1/models/pinion/clip")).json()
    assert answer["models"][0]["model"] == first
    two_words = (await client.get("/v1/search", params={"query": "clip sees"})).json()["models"]
    assert [each["metadata"]["score"] for each in two_words] == pytest.approx([0.55])


async def test_search_gives_as_many_as_are_wanted(client: httpx.AsyncClient, rows: Rows) -> None:
    for number in range(22):
        await add(rows, f"x{number}")
    for query, expected in [({}, 20), ({"limit": 3}, 3), ({"limit": 50}, 22)]:
        answer = await client.get("/v1/search", params={"query": "x", **query})
        assert len(answer.json()["models"]) == expected
    for limit in ("0", "51", "-1", "many", "1.5"):
        answer = await client.get("/v1/search", params={"query": "x", "limit": limit})
        assert (answer.status_code, answer.json()["invalid_fields"][0]["field"]) == (422, "limit")


@pytest.mark.parametrize("query", [{}, {"query": ""}, {"query": "  "}, {"limit": "5"}])
async def test_search_without_words_says_what_is_missing(client: httpx.AsyncClient, query: dict[str, str]) -> None:
    answer = await client.get("/v1/search", params=query)
    assert answer.status_code == 400
    assert answer.json()["detail"] == "The `query` parameter is required: say what to search for."
