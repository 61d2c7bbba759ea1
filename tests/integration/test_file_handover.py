"""A model may overwrite or remove a file as soon as it goes on: until then what it handed out has been stored."""

import asyncio
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import Row

from shared.contract import Status
from shared.errors import FileUnavailable
from shared.settings import Settings
from tests.database_fixtures import Rows
from tests.host import Host, installed
from tests.model_processes import PREDICTORS, Heard, Start, content_of
from worker.events import Done, Event, Output
from worker.outputs import OutputFiles

BYTES_BEFORE = 3_000_000


@pytest.mark.parametrize("predictor", ["overwrites_its_file", "overwrites_its_file_async"])
async def test_each_item_holds_what_was_in_the_file_when_it_was_yielded(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient, predictor: str
) -> None:
    version_id = await installed(settings, rows, predictor, is_iterator=True)
    given = {"texts": ["one", "two", "three"], "bytes_before": BYTES_BEFORE}
    ended = await host.run(rows, version_id, streams=True, input=given)
    assert (ended.status, ended.error) == (Status.SUCCEEDED, None)
    assert [text.strip() for text in await contents(client, ended)] == given["texts"]


async def test_an_answer_is_stored_before_the_next_prediction_can_overwrite_it(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    version_id = await installed(settings, rows, "overwrites_its_answer")
    given = [{"text": str(number), "bytes_before": BYTES_BEFORE} for number in range(4)]
    ended = await asyncio.gather(*(host.run(rows, version_id, input=each) for each in given))
    assert [(await contents(client, row))[0].strip() for row in ended] == ["0", "1", "2", "3"]


class Holding(Heard):
    """Takes a file only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take_later(self, event: Event) -> "asyncio.Future[None] | None":
        self.take(event)
        return self.taken if isinstance(event, Output) else None


@pytest.fixture(params=["overwrites_its_file", "overwrites_its_file_async", "in threads"])
def predictor(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param != "in threads":
        return PREDICTORS / request.param
    folder: Path = shutil.copytree(PREDICTORS / "overwrites_its_file", tmp_path / "in_threads")
    with (folder / "cog.yaml").open("a") as manifest:
        manifest.write("concurrency: {max: 2}\n")
    return folder


async def test_the_model_waits_until_its_file_is_taken(start: Start, predictor: Path) -> None:
    process, holding = await start(predictor), Holding()
    running = asyncio.create_task(process.predict("p1", _texts("one", "two"), holding.take_later))
    await holding.until(lambda heard: bool(heard.items))
    [file] = holding.items
    assert content_of(file["$file"]) == b"one"
    holding.taken.set_result(None)
    assert (await running).status == "succeeded"
    assert holding.items == [file, file]


async def test_a_cancel_ends_the_wait_and_the_model_cleans_up(start: Start, predictor: Path) -> None:
    process, holding = await start(predictor), Holding()
    running = asyncio.create_task(process.predict("p1", _texts("one", "two"), holding.take_later))
    await holding.until(lambda heard: bool(heard.items))
    process.cancel("p1")
    assert (await running).status == "canceled"
    assert holding.logs.endswith("cleaned up\n")
    holding.taken.set_result(None)
    next_one = Heard()
    assert (await process.predict("p1", _texts("three"), next_one.take)).status == "succeeded"
    assert len(next_one.items) == 1


@pytest.mark.parametrize(("was_canceled", "status"), [(True, "canceled"), (False, "failed")])
async def test_a_file_that_a_canceled_model_has_removed_is_no_failure(was_canceled: bool, status: str) -> None:
    async def store(path: Path) -> None:
        raise FileUnavailable("gone")

    heard = Heard()
    files = OutputFiles(store, (), heard.take, lambda: not was_canceled)
    files.take(Output({"$file": "/gone"}))
    assert (await files.settled(Done("canceled"))).status == status
    assert heard.items == []


def _texts(*texts: str) -> dict[str, Any]:
    return {"texts": list(texts)}


async def contents(client: httpx.AsyncClient, row: Row[Any]) -> list[str]:
    """What is in the files of an output."""
    output = (await client.get(f"/v1/predictions/{row.id}")).json()["output"]
    urls = output if isinstance(output, list) else [output]
    return [(await client.get(urlsplit(url).path)).text for url in urls]
