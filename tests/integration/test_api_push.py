"""Pushing over HTTP: what is asked for, how it arrives, and what is refused.

Nothing is built: that is the worker's business.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.contents import PACK_BYTES_MAX, packed
from shared.database import Database
from shared.settings import Settings
from shared.storage import MAX_ENTRIES, version_folder
from tests.api_in_process import serving
from tests.database_fixtures import Rows

PATH = "/v1/models/pinion/pushed/versions"
FILES = {"cog.yaml": b"predict: predict.py:Predictor\n", "predict.py": b"class Predictor: ...\n", "empty.txt": b""}


PACKED = {"packed": 1}


def described(files: dict[str, bytes] = FILES) -> list[dict[str, Any]]:
    return [{"path": path, "size": len(content), "sha256": digest(content)} for path, content in files.items()]


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


async def send(client: httpx.AsyncClient, content: bytes, **parameters: int) -> httpx.Response:
    offset = parameters.get("offset", 0)
    whole = {"size": len(content), **parameters}
    return await client.put(f"/v1/contents/{digest(content)}", params=whole, content=content[offset:])


async def test_the_server_names_what_it_lacks_and_makes_the_version_once_it_is_there(
    client: httpx.AsyncClient, settings: Settings
):
    asked = await client.post(PATH, json={"files": described()})
    assert asked.status_code == 202
    assert {entry["sha256"] for entry in asked.json()["missing"]} == {digest(content) for content in FILES.values()}
    for content in FILES.values():
        assert (await send(client, content)).status_code == 200
    made = await client.post(PATH, json={"files": described()})
    assert (made.status_code, made.json()["status"]) == (201, "building")
    folder = version_folder(settings.home, made.json()["id"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


async def test_another_model_of_the_same_files_needs_nothing_to_be_sent(client: httpx.AsyncClient):
    for content in FILES.values():
        await send(client, content)
    for name in ("one", "two"):
        made = await client.post(f"/v1/models/pinion/{name}/versions", json={"files": described()})
        assert made.status_code == 201


async def test_a_content_that_was_cut_off_is_asked_for_from_there(client: httpx.AsyncClient):
    content = b"0123456789"
    part = await client.put(f"/v1/contents/{digest(content)}", params={"size": 10}, content=content[:4])
    assert (part.status_code, part.json()) == (202, {"received": 4})
    asked = await client.post(PATH, json={"files": described(FILES | {"a": content})})
    assert {"sha256": digest(content), "size": 10, "received": 4} in asked.json()["missing"]
    wrong = await send(client, content, offset=5)
    assert wrong.status_code == 409
    assert "4 bytes of this content are here" in wrong.json()["detail"]
    beyond = await client.put(f"/v1/contents/{digest(content)}", params={"size": 4, "offset": 9}, content=b"more")
    assert (beyond.status_code, beyond.json()["detail"]) == (422, "A content of 4 bytes cannot go on at 9.")
    assert (await send(client, content, offset=4)).status_code == 200


async def test_small_contents_come_in_one_pack(client: httpx.AsyncClient, settings: Settings):
    files = FILES | {"none": b"", "a": b"a" * 70_000}
    pack = packed(files.values())
    half = await client.put(f"/v1/contents/{digest(pack)}", params=PACKED | {"size": len(pack)}, content=pack[:9])
    assert (half.status_code, half.json()) == (202, {"received": 9})
    assert (await client.post(PATH, json={"files": described(files)})).status_code == 202
    assert (await send(client, pack, offset=9, **PACKED)).status_code == 200
    made = await client.post(PATH, json={"files": described(files)})
    assert made.status_code == 201
    folder = version_folder(settings.home, made.json()["id"])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert (await send(client, pack, **PACKED)).status_code == 200, "again does no harm"


@pytest.mark.parametrize("pack", [b"\0", b"\0\0\0\5four", packed([b"whole"])[:-1]])
async def test_a_pack_that_ends_within_a_content_is_refused(client: httpx.AsyncClient, pack: bytes):
    answer = await send(client, pack, **PACKED)
    assert (answer.status_code, "ends within a content" in answer.json()["detail"]) == (422, True)


async def test_a_pack_has_to_fit_in_main_memory(client: httpx.AsyncClient):
    answer = await client.put(f"/v1/contents/{'a' * 64}", params=PACKED | {"size": PACK_BYTES_MAX + 1}, content=b"")
    assert answer.status_code == 413


async def test_a_content_that_is_longer_than_announced_or_another_is_refused(client: httpx.AsyncClient):
    longer = await client.put(f"/v1/contents/{digest(b'abc')}", params={"size": 2}, content=b"abc")
    assert longer.status_code == 413
    other = await client.put(f"/v1/contents/{digest(b'abc')}", params={"size": 3}, content=b"abd")
    assert other.status_code == 422
    assert "its file has changed, or it was damaged" in other.json()["detail"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "files: Field required"),
        ({"files": [{"path": 1, "size": 1, "sha256": "a" * 64}]}, "files.0.path"),
        ({"files": [{"path": "a", "size": 1, "sha256": "a" * 64, "mode": 1}]}, "files.0.mode"),
        ({"files": described({"../evil": b"x", **FILES})}, "not one within the model's folder"),
        ({"files": described({"a": b"x"})}, "has no cog.yaml"),
        ({"files": described(), "link": {"path": "/", "witness": "/dev/zero", "nonce": "n" * 64}}, "own machine"),
        ({"files": described(), "link": {"path": "/", "witness": "/nowhere", "nonce": "n" * 64}}, "own machine"),
    ],
)
async def test_what_is_hostile_or_unclear_is_refused_and_nothing_is_stored(
    client: httpx.AsyncClient, settings: Settings, body: dict[str, Any], says: str
):
    refused = await client.post(PATH, json=body)
    assert refused.status_code == 422, refused.text
    assert says in refused.json()["detail"]
    assert not list(settings.home.glob("versions/*"))


async def test_a_model_larger_than_allowed_is_refused_before_anything_is_sent(servers: Any, rows: Rows, tmp_path: Path):
    await rows.add_token()
    async with serving(servers.settings(home=tmp_path, max_archive_bytes=60)) as client:
        files = FILES | {"a": b"x" * 50}
        assert (await client.post(PATH, json={"files": described(files)})).status_code == 422
        assert (await client.put(f"/v1/contents/{'a' * 64}", params={"size": 61}, content=b"")).status_code == 413


async def test_a_list_of_as_many_files_as_allowed_is_read_and_a_longer_one_refused_with_advice(
    servers: Any, rows: Rows, tmp_path: Path
):
    await rows.add_token()
    entry = {"path": "cog.yaml", "size": 1, "sha256": "a" * 64}
    async with serving(servers.settings(home=tmp_path, max_body_bytes=1000)) as client:
        named = [{**entry, "path": f"folder/{number}"} for number in range(100)]
        assert (await client.post(PATH, json={"files": [entry, *named]})).status_code == 202
        refused = await client.post(PATH, content=b" " * (MAX_ENTRIES * 512 + 1))
        assert refused.status_code == 413
        assert "let a .dockerignore name" in refused.json()["detail"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


async def test_a_folder_of_this_machine_is_served_where_it_lies(
    client: httpx.AsyncClient, settings: Settings, source: Path, tmp_path: Path
):
    (tmp_path / "witness").write_text("n" * 64)
    link = {"path": str(source), "witness": str(tmp_path / "witness"), "nonce": "n" * 64}
    made = await client.post(PATH, json={"files": described(), "link": link})
    assert made.status_code == 201, made.text
    assert version_folder(settings.home, made.json()["id"]).readlink() == source


async def test_a_folder_is_linked_for_the_first_account_only(
    client: httpx.AsyncClient, database: Database, source: Path, tmp_path: Path
):
    """Whose machine it is. Others may be in a sandbox of it, from which a witness can be written, too."""
    ada = await Rows.made(database, "ada")
    await ada.add_token("r8_ada")
    (tmp_path / "witness").write_text("n" * 64)
    link = {"path": str(source), "witness": str(tmp_path / "witness"), "nonce": "n" * 64}
    headers = {"Authorization": "Bearer r8_ada"}
    refused = await client.post(
        "/v1/models/ada/echo/versions", json={"files": described(), "link": link}, headers=headers
    )
    assert refused.status_code == 403
    assert "Only the first account" in refused.json()["detail"]


async def test_a_folder_is_not_linked_for_who_cannot_show_to_be_here(
    client: httpx.AsyncClient, settings: Settings, source: Path, tmp_path: Path
):
    (tmp_path / "witness").write_text("m" * 64)
    link = {"path": str(source), "witness": str(tmp_path / "witness"), "nonce": "n" * 64}
    refused = await client.post(PATH, json={"files": described(), "link": link})
    assert refused.status_code == 422
    assert refused.json()["detail"].endswith("Push it without --link.")
