"""What a model puts into files is stored before anybody hears of it, stays in order, and is served as what it is."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from sqlalchemy import Row

from shared.contract import Status
from shared.database import Database
from shared.isolation import Isolation
from shared.live import Chunk, Feed, replay
from shared.queue import RedisPool
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import Rows, until
from tests.host import Host, hosting, installed

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def naming(settings: Settings, rows: Rows, host: Host) -> Callable[..., Any]:
    """Runs a model whose output is the file it is told, or one it made in setup()."""
    version: list[str] = []

    async def run(path: Path | str = "", **wanted: Any) -> Row[Any]:
        version[:] = version or [await installed(settings, rows, "names_a_file")]
        return await host.run(rows, version[0], input={"path": str(path)}, **wanted)

    return run


async def shown(client: httpx.AsyncClient, row: Row[Any]) -> Any:
    return (await client.get(f"/v1/predictions/{row.id}")).json()["output"]


async def read(client: httpx.AsyncClient, url: str, **headers: str) -> httpx.Response:
    """The answer under an address, asked for without a token."""
    request = httpx.Request("GET", f"http://client.test{urlsplit(url).path}", headers=headers)
    return await client.send(request)


async def test_files_of_a_list_are_served_with_name_type_and_length(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "writes_files")
    urls = await shown(client, await host.run(rows, version_id, input={"texts": ["one", "zwölf"]}))
    assert [url.startswith("http://pinion.test/v1/outputs/") for url in urls] == [True, True]
    assert [url.rpartition("/")[2] for url in urls] == ["0.txt", "1.txt"]
    answer = await read(client, urls[1])
    assert (answer.status_code, answer.text) == (200, "zwölf")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-length"] == "6"
    assert answer.headers["content-disposition"] == 'inline; filename="1.txt"'
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_page_that_could_hold_a_script_is_only_to_be_saved(
    tmp_path: Path, naming: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "ä page.html"
        page.write_text("<script>alert(1)</script>")
        answer = await read(client, (await shown(client, await naming(page)))["path"])
    assert answer.headers["content-disposition"].startswith("attachment; filename*=utf-8''%C3%A4%20page.html")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_file_without_an_extension_is_known_by_its_first_bytes(
    naming: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    descriptor, name = tempfile.mkstemp()
    with os.fdopen(descriptor, "wb") as file:
        file.write(PNG)
    url = (await shown(client, await naming(name)))["path"]
    assert url.endswith(f"{Path(name).name}.png")
    answer = await read(client, url)
    assert (answer.headers["content-type"], answer.content) == ("image/png", PNG)


async def test_a_part_of_a_file_can_be_asked_for(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "writes_files")
    [url] = await shown(client, await host.run(rows, version_id, input={"texts": ["0123456789"]}))
    for asked, text in {"bytes=2-4": "234", "BYTES= 2 - 4 ": "234", "bytes=8-99": "89", "bytes=-3": "789"}.items():
        part = await read(client, url, range=asked)
        assert (part.status_code, part.text) == (206, text), asked
        assert part.headers["content-range"] == f"bytes {text[0]}-{text[-1]}/10"
    for asked in ("bytes=10-", "bytes=4-2", "bytes=-0", f"bytes={'9' * 18}-"):
        refused = await read(client, url, range=asked)
        assert (refused.status_code, refused.headers["content-range"]) == (416, "bytes */10"), asked
        assert refused.headers["content-type"] == "application/problem+json"
        assert "10 bytes" in refused.json()["detail"]
    several = f"bytes={','.join(['0-'] * 2000)}"
    for asked in ("bytes=0-1,4-5", several, "lines=1-2", "bytes", "bytes=a-b", "bytes=-", f"bytes={'9' * 5000}-"):
        whole = await read(client, url, range=asked)
        assert (whole.status_code, whole.text) == (200, "0123456789"), asked
    head = await client.head(urlsplit(url).path)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "10", b"")


async def test_what_the_prediction_made_is_removed_and_what_it_found_is_kept(
    settings: Settings, rows: Rows, naming: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    for _ in range(2):  # made in setup(): the second prediction needs it as well
        kept = await naming()
        assert (await read(client, (await shown(client, kept))["path"])).text == "made in setup"
    manifest = version_folder(settings.home, kept.version_id) / "cog.yaml"
    assert (await shown(client, await naming(manifest)))["path"].endswith("cog.yaml")
    assert manifest.is_file()
    descriptor, made = tempfile.mkstemp()
    os.close(descriptor)
    os.utime(made, (2_000_000_000, 2_000_000_000))  # as if it were written during the prediction
    assert (await naming(made)).status == Status.SUCCEEDED
    assert made not in {entry.path for entry in os.scandir(tempfile.gettempdir())}


async def test_items_keep_their_order_although_storing_files_takes_time(
    redis: RedisPool, settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "yields_files", is_iterator=True)
    texts = {"texts": ["a", "b", "c"], "bytes_before": 3_000_000}
    ended = await host.run(rows, version_id, streams=True, input=texts)
    told: list[Any] = [value for chunk in await replay(redis, ended.id) for value in chunk.values]
    assert told == ended.output
    assert told[1::2] == ["after 0", "after 1", "after 2"]
    assert [file["$file"].rpartition("/")[2] for file in told[::2]] == ["0.txt", "1.txt", "2.txt"]


async def test_a_stream_tells_addresses_under_which_the_files_are_already(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "yields_files", is_iterator=True)
    row = await rows.waiting(version_id=version_id, streams=True, input={"texts": ["a", "b"], "seconds": 0.3})
    running = asyncio.create_task(host.predict(version_id, row.id))
    stream = (await client.get(f"/v1/predictions/{row.id}")).json()["urls"]["stream"]
    events = (await client.get(urlsplit(stream).path)).text
    urls = [line.removeprefix("data: ") for line in events.splitlines() if line.startswith("data: http://pinion.test/")]
    assert [(await read(client, url)).text for url in urls] == ["a", "b"]
    await running


async def test_a_webhook_tells_the_addresses(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, "writes_files")
    ended = await host.run(rows, version_id, input={"texts": ["one"]}, webhook="http://127.0.0.1:9/")
    last = (await rows.messages(ended.id))[-1]
    [url] = msgspec.json.decode(last.body)["output"]
    assert url.startswith("http://pinion.test/v1/outputs/")


async def test_a_model_hands_out_nothing_of_the_service_or_of_other_models(
    settings: Settings, rows: Rows, database: Database, feed: Feed
) -> None:
    """That it can name, as a plain process sees them."""
    (settings.home / "token").write_text("secret")
    link = Path(tempfile.mkdtemp()) / "innocent.txt"
    link.symlink_to(settings.home / "token")
    version_id = await installed(settings, rows, "names_a_file")
    async with hosting(settings.model_copy(update={"isolation": Isolation.PROCESS}), database, feed) as host:
        for path in (settings.home / "token", link):
            ended = await host.run(rows, version_id, input={"path": str(path)})
            assert (ended.status, ended.output) == (Status.FAILED, None)
            assert ended.error == "The model may not hand out the file token: it is not one of its own."
    link.unlink()


async def test_an_input_that_is_repeated_never_becomes_a_file(settings: Settings, rows: Rows, host: Host) -> None:
    version_id = await installed(settings, rows, "returns_its_input")
    forged = {"list": [{"$file": "/etc/hostname"}]}
    ended = await host.run(rows, version_id, input={"value": forged})
    assert ended.status == Status.FAILED
    assert "reserved" in ended.error
    quoted = {"text": '{"$file": "/etc/hostname"}'}
    assert (await host.run(rows, version_id, input={"value": quoted})).output == quoted


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte of a new file goes to a device without room."""

    def make(prefix: str, dir: Path) -> tuple[int, str]:
        path = dir / f"{prefix}full"
        path.touch()
        return os.open("/dev/full", os.O_WRONLY), str(path)

    monkeypatch.setattr("shared.file_store.tempfile.mkstemp", make)


@pytest.mark.usefixtures("full_disk")
async def test_an_output_for_which_there_is_no_room_fails_the_prediction_and_leaves_nothing(
    settings: Settings, rows: Rows, naming: Callable[..., Any]
) -> None:
    ended = await naming()
    assert (ended.status, ended.error) == (Status.FAILED, "no space to store output")
    assert [path for path in (settings.home / "files").rglob("*") if path.is_file()] == []


@pytest.mark.usefixtures("full_disk")
async def test_an_item_for_which_there_is_no_room_stops_the_model(
    redis: RedisPool, settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "yields_files", is_iterator=True)
    endless = {"texts": ["x"] * 1000, "seconds": 1}
    ended = await host.run(rows, version_id, streams=True, input=endless)
    assert (ended.status, ended.error) == (Status.FAILED, "no space to store output")
    told: list[Chunk] = await replay(redis, ended.id)
    assert [value for chunk in told for value in chunk.values] == []


async def test_a_canceled_prediction_keeps_the_files_it_had_yielded(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "yields_files", is_iterator=True)
    row = await rows.waiting(version_id=version_id, streams=True, input={"texts": ["a", "b"], "seconds": 60})
    running = asyncio.create_task(host.predict(version_id, row.id))
    await until(lambda: _has_output(rows, row.id))
    host.residency.cancel(row.id)
    await running
    ended = await rows.prediction(row.id)
    assert ended.status == Status.CANCELED
    assert (await read(client, (await shown(client, ended))[0])).text == "a"


async def _has_output(rows: Rows, prediction_id: str) -> bool:
    return (await rows.prediction(prediction_id)).output is not None
