"""Inputs that are files are there when the model runs and gone afterwards, or the prediction says what is amiss."""

import asyncio
import base64
import threading
from collections.abc import Callable
from hashlib import sha256
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row

from shared import lifecycle
from shared.contract import Status
from shared.database import Database
from shared.live import Feed
from shared.settings import Settings
from tests.database_fixtures import Backend, Rows, until
from tests.file_server import FileServer
from tests.host import Host, hosting, installed
from worker.files import existing_folders, folder_of
from worker.sweep import Sweep

CONTENT = bytes(range(256)) * 300


def described(name: str, content: bytes = CONTENT) -> dict[str, str]:
    return {"name": name, "sha256": sha256(content).hexdigest()}


@pytest.fixture
async def reading(settings: Settings, rows: Rows, host: Host) -> Callable[..., Any]:
    """Runs a model that tells names and contents of its input files."""
    version_id = await installed(settings, rows, "describes_files")

    async def run(**input: Any) -> Row[Any]:
        return await host.run(rows, version_id, input=input)

    return run


async def upload(client: httpx.AsyncClient, name: str, content: bytes = CONTENT) -> str:
    answer = await client.post("/v1/files", files={"content": (name, content)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["urls"]["get"])


async def test_a_file_behind_an_address_is_local_and_has_the_name_it_had_there(
    reading: Callable[..., Any], file_server: FileServer
) -> None:
    url = file_server.gives("/pictures/a%20cat.png?size=1", CONTENT)
    ended = await reading(file=url)
    assert ended.error is None
    assert ended.output["files"] == [described("a cat.png")]
    assert ended.input == {"file": url}


async def test_nothing_is_left_of_the_inputs_when_the_prediction_has_ended(
    settings: Settings, reading: Callable[..., Any], file_server: FileServer
) -> None:
    ended = await reading(file=file_server.gives("/a.bin", CONTENT))
    assert Path(ended.output["folder"]).is_relative_to(settings.home)
    assert existing_folders(settings.home) == {}


@pytest.mark.parametrize(
    ("url", "name", "content"),
    [
        ("data:text/plain;base64," + base64.b64encode(CONTENT).decode(), "file.txt", CONTENT),
        ("data:image/png;base64," + base64.urlsafe_b64encode(CONTENT).decode().rstrip("="), "file.png", CONTENT),
        ("data:;base64,aGVs bG8=", "file", b"hello"),
        ("DATA:text/plain;charset=utf-8,gr%C3%BC%C3%9Fe,%20a+b", "file.txt", "grüße, a+b".encode()),
    ],
)
async def test_a_data_url_is_a_file(reading: Callable[..., Any], url: str, name: str, content: bytes) -> None:
    ended = await reading(file=url)
    assert ended.output["files"] == [described(name, content)]


async def test_files_of_a_list_are_fetched_in_its_order_even_if_they_have_one_name(
    reading: Callable[..., Any], file_server: FileServer
) -> None:
    urls = [file_server.gives(f"/{number}/same.txt", b"%d" % number) for number in range(20)]
    ended = await reading(file=urls[0], more=urls)
    assert ended.output["files"] == [described("same.txt", b"%d" % number) for number in (0, *range(20))]


async def test_a_text_that_looks_like_an_address_stays_a_text(
    reading: Callable[..., Any], file_server: FileServer
) -> None:
    url = file_server.gives("/text", CONTENT)
    ended = await reading(file="data:,x", text=url)
    assert ended.output["text"] == url
    assert file_server.asked == []


async def test_an_upload_is_read_without_a_request_under_the_name_it_was_sent_with(
    reading: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    url = await upload(client, "letter.txt")
    ended = await reading(file=url, more=[url.replace("/v1/", "/"), url.replace("pinion.test", "other.test")])
    assert ended.error is None
    assert ended.output["files"] == [described("letter.txt")] * 3
    assert ended.input["file"] == url


async def test_an_output_of_one_prediction_can_be_the_input_of_another(
    settings: Settings, rows: Rows, host: Host, reading: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    writes = await installed(settings, rows, "writes_files")
    made = await host.run(rows, writes, input={"texts": ["one"]})
    shown = (await client.get(f"/v1/predictions/{made.id}")).json()
    ended = await reading(file=shown["output"][0])
    assert ended.output["files"] == [described("0.txt", b"one")]


async def test_an_upload_of_somebody_else_is_not_there(
    rows: Rows, database: Database, reading: Callable[..., Any], client: httpx.AsyncClient
) -> None:
    url = await upload(client, "letter.txt")
    stranger = await Rows.made(database, "stranger")
    rows.account_id = stranger.account_id
    ended = await reading(file=url)
    assert ended.status == Status.FAILED
    assert ended.error == "could not download input.file: there is no such file here, or it has expired"


def gone(server: FileServer) -> str:
    return server.refuses("/gone.png", 404)


def away(server: FileServer) -> str:
    return server.redirects("/away", "http://169.254.169.254/latest/meta-data")


def in_circles(server: FileServer) -> str:
    return server.redirects("/circle", "/circle")


def to_a_file(server: FileServer) -> str:
    return server.redirects("/passwd", "file:///etc/passwd")


def large(server: FileServer) -> str:
    return server.gives("/large", b"x" * 200_000)


def compressed(server: FileServer) -> str:
    return server.gives("/bomb", b"x" * 10, Content_Encoding="gzip")


FAILURES: list[tuple[str | Callable[[FileServer], str], str]] = [
    (gone, "the server answered HTTP 404"),
    (away, "address not allowed by policy"),
    (in_circles, "too many redirects"),
    (to_a_file, "address not allowed by policy"),
    (large, "it is larger than 98 KiB"),
    (lambda server: server.never_ends("/endless", 0.0001), "it is larger than 98 KiB"),
    (lambda server: server.never_ends("/slow", 0.05), "no complete answer in time"),
    (compressed, "the server answered with compressed content although it was asked not to"),
    ("http://10.0.0.1/a.png", "address not allowed by policy"),
    ("http://127.0.0.2/a.png", "address not allowed by policy"),
    ("http://nowhere.invalid/a.png", "the host name could not be resolved"),
    ("http://[::1/a.png", "address not allowed by policy"),
    ("file:/etc/passwd", "it has to be an http, https or data URL"),
    ("ftp://127.0.0.1/a", "it has to be an http, https or data URL"),
    ("data:;base64,????", "its base64 is damaged"),
    ("http://pinion.test/v1/files/" + "a" * 26, "there is no such file here, or it has expired"),
]


@pytest.mark.parametrize(("source", "why"), FAILURES)
async def test_a_file_that_cannot_be_had_fails_the_prediction_and_says_which_and_why(
    servers: Backend,
    tmp_path: Path,
    database: Database,
    feed: Feed,
    rows: Rows,
    file_server: FileServer,
    source: str | Callable[[FileServer], str],
    why: str,
) -> None:
    only_one = (ip_network("127.0.0.1/32"),)
    limits = {"max_input_bytes": 100_000, "fetch_seconds": 1.0 if "in time" in why else 30.0}
    settings = servers.settings(home=tmp_path, file_allow_cidrs=only_one, **limits)
    url = source if isinstance(source, str) else source(file_server)
    async with hosting(settings, database, feed) as host:
        version_id = await installed(settings, rows, "describes_files")
        ended = await host.run(rows, version_id, input={"file": "data:,x", "more": ["data:,y", url]})
    assert (ended.status, ended.error) == (Status.FAILED, f"could not download input.more.1: {why}")
    assert existing_folders(settings.home) == {}


async def test_without_being_asked_nothing_private_is_reached(
    servers: Backend, tmp_path: Path, database: Database, feed: Feed, rows: Rows, file_server: FileServer
) -> None:
    settings = servers.settings(home=tmp_path, webhook_allow_cidrs=(ip_network("127.0.0.0/8"),))
    async with hosting(settings, database, feed) as host:
        version_id = await installed(settings, rows, "describes_files")
        ended = await host.run(rows, version_id, input={"file": file_server.gives("/a", CONTENT)})
    assert ended.error == "could not download input.file: address not allowed by policy"
    assert file_server.asked == []


async def test_a_few_redirects_are_followed(reading: Callable[..., Any], file_server: FileServer) -> None:
    file_server.gives("/3/there.txt", CONTENT)
    for number in range(3):
        file_server.redirects(f"/{number}/a.txt", f"/{number + 1}/" + ("there.txt" if number == 2 else "a.txt"))
    ended = await reading(file=f"{file_server.url}/0/a.txt")
    assert ended.output["files"] == [described("a.txt")]


async def test_a_cancel_ends_a_prediction_whose_input_is_still_on_its_way(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer, database: Database
) -> None:
    version_id = await installed(settings, rows, "describes_files")
    url = file_server.never_ends("/slow", 0.05)
    row = await rows.waiting(version_id=version_id, input={"file": url})
    host.presence.id = ""
    async with host.presence.announced():
        running = asyncio.create_task(host.predict(version_id, row.id))
        await until(lambda: file_server.asked)
        async with database.transaction() as transaction:
            await lifecycle.cancel(transaction, row.id)
        async with asyncio.timeout(10):
            await running
    assert (await rows.prediction(row.id)).status == Status.CANCELED
    assert existing_folders(settings.home) == {}


async def test_a_model_is_kept_up_while_the_input_of_its_prediction_is_on_its_way(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer
) -> None:
    version_id = await installed(settings, rows, "describes_files")
    may_come = threading.Event()
    url = file_server.gives("/late", CONTENT)
    give = file_server.behaviours["/late"]
    file_server.does("/late", lambda handler: give(handler) if may_come.wait(30) else None)
    row = await rows.waiting(version_id=version_id, input={"file": url})
    running = asyncio.create_task(host.predict(version_id, row.id))
    await until(lambda: file_server.asked)
    resident = host.residency.resident(version_id)
    group = resident.group
    await resident.unload()
    assert group
    assert resident.group == group
    may_come.set()
    await running
    assert (await rows.prediction(row.id)).status == Status.SUCCEEDED
    await resident.unload()
    assert resident.group is None


async def test_a_cancel_that_came_first_keeps_the_input_from_being_fetched(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer
) -> None:
    version_id = await installed(settings, rows, "describes_files")
    row = await rows.waiting(version_id=version_id, input={"file": file_server.gives("/a", CONTENT)})
    host.residency.resident(version_id).cancel(row.id)
    await host.predict(version_id, row.id)
    assert (await rows.prediction(row.id)).status == Status.CANCELED
    assert file_server.asked == []


async def test_what_a_worker_that_died_has_left_is_swept_away(
    settings: Settings, database: Database, rows: Rows, host: Host
) -> None:
    host.presence.id = ""
    async with host.presence.announced():
        running, ended = await rows.running(host.presence.id), await rows.ended()
        for row in (running, ended):
            folder_of(settings.home, row.version_id, row.id, row.attempt).mkdir(parents=True)
        await Sweep(settings, database, "sweep").tick()
        assert existing_folders(settings.home).keys() == {running.id}
