"""Collections: put together by the command, read over HTTP, each reader seeing the models that may be seen."""

import asyncio
from pathlib import Path

import httpx

from shared.contract import Visibility
from shared.tables import Model
from tests.database_fixtures import Command, Rows


async def done(pinion: Command, *arguments: str) -> str:
    ended = await pinion("collection", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def slugs(client: httpx.AsyncClient) -> list[str]:
    return [entry["slug"] for entry in (await client.get("/v1/collections")).json()["results"]]


async def names(client: httpx.AsyncClient, slug: str) -> list[str]:
    return [
        f"{model['owner']}/{model['name']}" for model in (await client.get(f"/v1/collections/{slug}")).json()["models"]
    ]


async def test_a_collection_is_made_read_replaced_and_removed(
    pinion: Command, client: httpx.AsyncClient, rows: Rows, tmp_path: Path
) -> None:
    await Rows.made(rows.database, "ada")
    story = tmp_path / "story.md"
    story.write_text("# Echoes\n\nÜber alles.")
    texts = ("--name", "Echoes", "--description", "Say it again", "--full-description", str(story))
    assert await done(pinion, "put", "echoes", "ada/echo", "pinion/echo", *texts) == ""
    item = {"name": "Echoes", "slug": "echoes", "description": "Say it again"}
    listed = (await client.get("/v1/collections")).json()
    assert listed == {"next": None, "previous": None, "results": [item]}
    shown = (await client.get("/v1/collections/echoes")).json()
    models = shown.pop("models")
    assert shown == {**item, "full_description": "# Echoes\n\nÜber alles."}
    assert [model["owner"] for model in models] == ["ada", "pinion"]
    assert models[1] == (await client.get("/v1/models")).json()["results"][1]
    found = (await client.get("/v1/search", params={"query": "again"})).json()["collections"]
    assert found == [{**item, "models": ["ada/echo", "pinion/echo"]}]

    await done(pinion, "put", "echoes", "pinion/echo")
    shown = (await client.get("/v1/collections/echoes")).json()
    assert (shown["name"], shown["description"], shown["full_description"]) == ("echoes", "", None)
    assert await names(client, "echoes") == ["pinion/echo"]
    head, line = (await done(pinion, "list")).splitlines()
    assert (head.split(), line.split()) == (["SLUG", "NAME", "DESCRIPTION"], ["echoes", "echoes"])
    await done(pinion, "remove", "echoes")
    assert await slugs(client) == []
    assert (await client.get("/v1/collections/echoes")).status_code == 404
    assert (await client.get("/v1/models/pinion/echo")).status_code == 200


async def test_what_cannot_be_put_together_is_said_in_a_sentence_and_changes_nothing(
    pinion: Command, client: httpx.AsyncClient, rows: Rows
) -> None:
    await done(pinion, "put", "kept", "pinion/echo")
    attempts = {
        ("put", "kept", "pinion/nothing"): "There is no model pinion/nothing: make it, or push it, first.",
        ("put", "kept", "echo"): "There is no model echo",
        ("put", "Not A Slug"): "A slug has up to 63 lower-case letters, digits and dashes.",
        ("put", "new", "--full-description", "nowhere.md"): "nowhere.md",
        ("remove", "unknown"): "There is no collection unknown",
    }
    ended = await asyncio.gather(*[pinion("collection", *arguments) for arguments in attempts])
    for result, sentence in zip(ended, attempts.values(), strict=True):
        assert (result.returncode, result.stdout) == (1, "")
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr
    assert await slugs(client) == ["kept"]
    assert await names(client, "kept") == ["pinion/echo"]


async def test_a_collection_shows_what_its_reader_may_see_and_nothing_that_was_removed(
    pinion: Command, client: httpx.AsyncClient, rows: Rows
) -> None:
    ada = await Rows.made(rows.database, "ada")
    await done(pinion, "put", "both", "pinion/echo", "ada/echo", "pinion/echo")
    assert await names(client, "both") == ["pinion/echo", "ada/echo"]
    await rows.change(Model, Model.id == ada.model_id, visibility=Visibility.PRIVATE)
    assert await names(client, "both") == ["pinion/echo"]
    found = (await client.get("/v1/search", params={"query": "both"})).json()["collections"]
    assert found[0]["models"] == ["pinion/echo"]
    await client.patch("/v1/models/pinion/echo", json={"visibility": "private"})
    await client.delete(f"/v1/models/pinion/echo/versions/{rows.version_id}")
    assert (await client.delete("/v1/models/pinion/echo")).status_code == 204
    assert await names(client, "both") == []
