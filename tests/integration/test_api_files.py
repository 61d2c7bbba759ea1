"""Uploads as each official client sends them, who may see them, and what is refused."""

import os
from hashlib import md5, sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from shared.database import Database, clock
from shared.file_store import content_path
from shared.settings import Settings
from shared.tables import File
from tests.api_in_process import serving
from tests.database_fixtures import Backend, Rows
from worker.sweep import Sweep

PATH = "/v1/files"
CONTENT = bytes(range(256)) * 20_000
OTHER_TOKEN = "r8_" + "o" * 37


async def uploaded(client: httpx.AsyncClient, name: str = "a.png", content: bytes = CONTENT) -> dict[str, Any]:
    answer = await client.post(PATH, files={"content": (name, content)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def part(disposition: str, content: bytes, kind: str = "") -> bytes:
    typed = f"Content-Type: {kind}\r\n" if kind else ""
    return f"--X\r\nContent-Disposition: form-data; {disposition}\r\n{typed}\r\n".encode() + content + b"\r\n"


async def posted(client: httpx.AsyncClient, *parts: bytes, end: bytes = b"--X--\r\n") -> httpx.Response:
    headers = {"content-type": "multipart/form-data; boundary=X"}
    return await client.post(PATH, content=b"".join([*parts, end]), headers=headers)


DIALECTS = {
    "python 1": [
        part('name="metadata"', b'{"a": {"b": 1}}'),
        part('name="content"; filename="cat.png"', CONTENT, "image/png"),
    ],
    "python 2": [
        part('name="content"; filename="upload"', CONTENT, "application/octet-stream"),
        part('name="filename"', b"cat.png"),
        part('name="type"', b"image/png"),
        part('name="metadata[a]"', b"1"),
    ],
    "javascript": [
        part('name="content"; filename="cat.png"', CONTENT, "image/png"),
        part('name="metadata"; filename="blob"', b'{"a": {"b": 1}}', "application/json"),
    ],
}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_every_dialect_of_the_clients_is_understood(client: httpx.AsyncClient, dialect: str) -> None:
    answer = await posted(client, *DIALECTS[dialect])
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["name"], file["content_type"], file["size"]) == ("cat.png", "image/png", len(CONTENT))
    assert file["checksums"] == {"sha256": sha256(CONTENT).hexdigest(), "md5": md5(CONTENT).hexdigest()}
    assert file["metadata"] == {"a": "1" if dialect == "python 2" else {"b": 1}}
    assert file["etag"]
    assert file["expires_at"] > file["created_at"]
    assert file["urls"]["get"] == f"http://pinion.test/v1/files/{file['id']}"


async def test_a_file_is_read_listed_and_deleted_by_its_owner(settings: Settings, client: httpx.AsyncClient) -> None:
    first, second = await uploaded(client), await uploaded(client, "b.txt")
    assert (await client.get(f"{PATH}/{first['id']}")).json() == first
    assert (await client.get(PATH)).json() == {"next": None, "previous": None, "results": [second, first]}
    deleted = await client.delete(f"{PATH}/{first['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert not content_path(settings.home, first["id"]).exists()
    assert (await client.get(f"{PATH}/{first['id']}")).status_code == 404
    assert (await client.delete(f"{PATH}/{first['id']}")).status_code == 404
    assert (await client.get(PATH)).json()["results"] == [second]


async def test_a_file_of_somebody_else_is_not_found(database: Database, client: httpx.AsyncClient) -> None:
    file = await uploaded(client)
    await (await Rows.made(database, "stranger")).add_token(OTHER_TOKEN)
    client.headers["authorization"] = f"Bearer {OTHER_TOKEN}"
    unknown = await client.get(f"{PATH}/{'a' * 26}")
    for answer in (await client.get(f"{PATH}/{file['id']}"), await client.delete(f"{PATH}/{file['id']}")):
        assert (answer.status_code, answer.json()) == (404, unknown.json())
    assert (await client.get(PATH)).json()["results"] == []


async def test_without_a_token_nothing_is_stored(settings: Settings, client: httpx.AsyncClient) -> None:
    del client.headers["authorization"]
    assert (await client.post(PATH, files={"content": ("a.png", CONTENT)})).status_code == 401
    assert (await client.get(PATH)).status_code == 401


async def test_a_signed_link_gives_the_bytes_to_whoever_has_it(client: httpx.AsyncClient) -> None:
    file = await uploaded(client, 'evil".html')
    del client.headers["authorization"]
    answer = await client.get(file["urls"]["download"].replace("http://pinion.test", ""))
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "changed", [{"owner": "other"}, {"expiry": "99999999999"}, {"signature": "ü"}, {"expiry": "1"}]
)
async def test_a_link_that_was_changed_is_not_found(client: httpx.AsyncClient, changed: dict[str, str]) -> None:
    link = urlsplit((await uploaded(client))["urls"]["download"])
    query = urlencode({**dict(parse_qsl(link.query)), **changed})
    assert (await client.get(f"{link.path}?{query}")).status_code == 404
    assert (await client.get(link.path)).status_code == 404


async def test_a_link_that_has_expired_is_not_found(
    database: Database, rows: Rows, settings: Settings, client: httpx.AsyncClient
) -> None:
    file = await uploaded(client)
    await rows.change(File, File.id == file["id"], expires_at=clock(-1))
    assert (await client.get(file["urls"]["download"].replace("http://pinion.test", ""))).status_code == 404
    assert (await client.get(PATH)).json()["results"] == []
    await Sweep(settings, database, "sweep").tick()
    assert not content_path(settings.home, file["id"]).exists()
    async with database.reading() as connection:
        assert (await connection.execute(File.__table__.select())).all() == []


async def test_a_prediction_prolongs_the_life_of_the_uploads_it_was_given(
    rows: Rows, client: httpx.AsyncClient
) -> None:
    file = await uploaded(client)
    await rows.change(File, File.id == file["id"], expires_at=clock(60))
    body = {"version": rows.version_id, "input": {"text": file["urls"]["get"], "more": [1, None, {"a": "http"}]}}
    assert (await client.post("/v1/predictions", json=body)).status_code == 201
    assert (await client.get(f"{PATH}/{file['id']}")).json()["expires_at"] >= file["expires_at"]


async def test_an_upload_is_no_output_and_needs_its_signature(client: httpx.AsyncClient) -> None:
    file = await uploaded(client)
    assert (await client.get(f"/v1/outputs/{file['id']}/a.png")).status_code == 404


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\folder\\\\a.txt", "a.txt"),
        ("a\tb.txt", "a_b.txt"),
        ("grüße.txt", "grüße.txt"),
        ("..", "file"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
    ],
)
async def test_a_name_is_only_a_name(settings: Settings, client: httpx.AsyncClient, sent: str, kept: str) -> None:
    answer = await posted(client, part(f'name="content"; filename="{sent}"', b"x"))
    file = answer.json()
    assert file["name"] == kept
    assert content_path(settings.home, file["id"]).read_bytes() == b"x"


@pytest.mark.parametrize(
    ("parts", "end", "status"),
    [
        ([part('name="other"', b"x")], b"--X--\r\n", 422),
        ([part('name="content"; filename="a"', b"x")], b"", 422),
        ([part('name="content"; filename="a"', b"x")] * 2, b"--X--\r\n", 422),
        ([b"no multipart at all"], b"", 422),
        ([part('name="content"', b"x"), part('name="metadata"', b"[1]")], b"--X--\r\n", 422),
        ([part('name="content"', b"x"), part('name="metadata"', b'{"a": "\\u0000"}')], b"--X--\r\n", 422),
        ([part('name="content"', b"x"), part('name="note"', b"x" * 70_000)], b"--X--\r\n", 413),
        ([part('name="content"', b"x"), *[part('name="note"', b"x")] * 200], b"--X--\r\n", 422),
        ([], b"", 422),
    ],
)
async def test_a_form_that_is_none_is_refused_and_leaves_nothing(
    settings: Settings, client: httpx.AsyncClient, parts: list[bytes], end: bytes, status: int
) -> None:
    answer = await posted(client, *parts, end=end)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert (await client.get(PATH)).json()["results"] == []
    assert stored(settings) == []


async def test_another_kind_of_body_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post(PATH, json={"content": "x"})).status_code == 415
    headers = {"content-type": "multipart/form-data"}
    assert (await client.post(PATH, content=b"x", headers=headers)).status_code == 422


def stored(settings: Settings) -> list[Path]:
    return [path for path in (settings.home / "files").rglob("*") if path.is_file()]


async def test_a_file_that_is_too_large_is_refused_however_it_is_announced(
    servers: Backend, tmp_path: Path, rows: Rows
) -> None:
    await rows.add_token()
    limited = servers.settings(home=tmp_path, max_upload_bytes=3_000_000)

    async def pieces() -> Any:
        yield part('name="content"; filename="a"', b"")[:-2]
        for _ in range(40):
            yield b"x" * 100_000
        yield b"\r\n--X--\r\n"

    async with serving(limited) as client:
        assert (await client.post(PATH, files={"content": ("a", CONTENT)})).status_code == 413
        headers = {"content-type": "multipart/form-data; boundary=X"}
        assert (await client.post(PATH, content=pieces(), headers=headers)).status_code == 413
        assert stored(limited) == []
        assert (await client.post(PATH, files={"content": ("a", b"x" * 3_000_000)})).status_code == 201


async def test_without_room_an_upload_is_refused_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, client: httpx.AsyncClient
) -> None:
    def full(prefix: str, dir: Path) -> tuple[int, str]:
        (dir / prefix).touch()
        return os.open("/dev/full", os.O_WRONLY), str(dir / prefix)

    monkeypatch.setattr("shared.file_store.tempfile.mkstemp", full)
    answer = await client.post(PATH, files={"content": ("a", CONTENT)})
    assert answer.status_code == 507
    assert stored(settings) == []
