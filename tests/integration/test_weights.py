"""Weights that come from elsewhere: fetched once, handed to setup() or put where cog.yaml wants them."""

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Row

from shared.contract import Status
from shared.database import Database
from shared.live import Feed
from shared.rendering import output
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import Rows
from tests.file_server import FileServer
from tests.host import Host, hosting, installed
from tests.hub import Hub

READS = "import pathlib\n\n\ndef predict() -> str:\n    return pathlib.Path('{}').read_text()\n"


async def ran(host: Host, rows: Rows, version_id: str) -> Any:
    """The output of a prediction that went well."""
    row = await host.run(rows, version_id, input={})
    assert row.status == Status.SUCCEEDED, row.error
    return row.output


async def reading(settings: Settings, rows: Rows, place: str, weights: str) -> str:
    """A version whose cog.yaml names weights and whose output is a file among them."""
    version_id = await rows.add_version()
    folder = version_folder(settings.home, version_id)
    folder.mkdir(parents=True)
    (folder / "cog.yaml").write_text(f"predict: predict.py:predict\nweights: [{weights}]\n")
    (folder / "predict.py").write_text(READS.format(place))
    return version_id


@pytest.mark.parametrize(
    ("predictor", "said"),
    [("shows_its_weights", "Path tuned.bin: tuned"), ("shows_its_weights_place", "str: tuned")],
)
async def test_setup_is_handed_the_weights_of_the_version(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer, predictor: str, said: str
) -> None:
    address = file_server.gives("/tuned.bin?key=secret", b"tuned")
    version_id = await installed(settings, rows, predictor, weights=address)
    assert await ran(host, rows, version_id) == said


async def test_equal_weights_are_kept_once_and_an_address_is_fetched_once(
    settings: Settings, database: Database, feed: Feed, rows: Rows, host: Host, file_server: FileServer
) -> None:
    large = b"a" * (1 << 20)
    addresses = [file_server.gives(f"/{name}/tuned.bin", large) for name in ("one", "two")]
    versions = [
        await installed(settings, rows, "shows_its_weights", weights=address)
        for address in (addresses[0], addresses[1], addresses[0])
    ]
    for version_id in versions:
        assert (await ran(host, rows, version_id)).endswith("aaa")
    async with hosting(settings, database, feed) as another:
        await ran(another, rows, versions[0])
    assert sorted(file_server.asked) == ["/one/tuned.bin", "/two/tuned.bin"]
    kept = [path for path in (settings.home / "weights").rglob("tuned.bin") if path.is_file()]
    assert len(kept) == 2
    assert len({path.stat().st_ino for path in kept}) == 1


async def test_an_output_of_a_prediction_can_be_the_weights_of_a_version(
    settings: Settings, rows: Rows, host: Host
) -> None:
    maker = await installed(settings, rows, "writes_files")
    made = await host.run(rows, maker, input={"texts": ["trained"]})
    version_id = await installed(settings, rows, "shows_its_weights", weights=made.output[0])
    assert await ran(host, rows, version_id) == "Path 0.txt: trained"
    by_address = output(made.output[0], settings.address)
    assert await ran(host, rows, await installed(settings, rows, "shows_its_weights", weights=by_address))


async def test_an_upload_of_another_account_is_refused_even_if_it_is_here(
    settings: Settings, database: Database, rows: Rows, host: Host, client: httpx.AsyncClient
) -> None:
    uploaded = await client.post("/v1/files", files={"content": ("mine.bin", b"mine")})
    address = uploaded.json()["urls"]["get"].replace("http://pinion.test", settings.address)
    version_id = await installed(settings, rows, "shows_its_weights", weights=address)
    assert await ran(host, rows, version_id) == "Path mine.bin: mine"
    other = await Rows.made(database, "other")
    theirs = await installed(settings, other, "shows_its_weights", weights=address)
    row = await host.run(other, theirs, input={})
    assert row.error.endswith("could not be fetched: there is no such file here, or it has expired.")


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/gone.bin", "the server answered HTTP 404"), ("http://169.254.169.254/w.bin", "address not allowed by policy")],
)
async def test_weights_that_cannot_be_had_fail_the_prediction_with_the_reason(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer, path: str, reason: str
) -> None:
    address = file_server.refuses(path, 404) if path.startswith("/") else path
    version_id = await installed(settings, rows, "shows_its_weights", weights=f"{address}")
    row: Row[Any] = await host.run(rows, version_id, input={})
    assert row.status == Status.FAILED
    assert row.error == f"The model could not be set up: The weights {address} could not be fetched: {reason}."


async def test_a_fetch_that_failed_is_tried_again(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer
) -> None:
    address = file_server.refuses("/late.bin", 503)
    version_id = await installed(settings, rows, "shows_its_weights", weights=address)
    assert (await host.run(rows, version_id, input={})).status == Status.FAILED
    file_server.gives("/late.bin", b"late")
    assert await ran(host, rows, version_id) == "Path late.bin: late"


async def test_weights_of_cog_yaml_are_put_where_it_wants_them(
    settings: Settings, rows: Rows, host: Host, file_server: FileServer
) -> None:
    source = f"{{uri: '{file_server.gives('/w.bin', b'from the web')}'}}"
    for target in ("/src/models/big", "models/big"):
        wanted = f"{{name: big, target: {target}, source: {source}}}"
        assert await ran(host, rows, await reading(settings, rows, "models/big/w.bin", wanted)) == "from the web"
    assert file_server.asked == ["/w.bin"]


async def test_weights_of_cog_yaml_come_from_the_hub_too(
    settings: Settings, rows: Rows, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path / "hub")
    hub.add("ada/tiny", config__json="from the hub", other__bin="unwanted")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub.folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    wanted = "{name: t, target: weights, source: {uri: 'hf://ada/tiny', exclude: ['*.bin']}}"
    version_id = await reading(settings, rows, "weights/config.json", wanted)
    assert await ran(host, rows, version_id) == "from the hub"
    missing = "{name: t, target: weights, source: {uri: 'hf://ada/none'}}"
    row = await host.run(rows, await reading(settings, rows, "weights/config.json", missing), input={})
    assert "ada/none is not in the local cache" in row.error


async def test_weights_in_the_models_own_folder_stay_as_they_are(settings: Settings, rows: Rows, host: Host) -> None:
    wanted = "{name: w, target: /src/weights, source: {uri: 'file://./made'}}"
    version_id = await reading(settings, rows, "weights/w.txt", wanted)
    folder = version_folder(settings.home, version_id)
    row = await host.run(rows, version_id, input={})
    assert "file://./made that cog.yaml names are not there" in row.error
    (folder / "made").mkdir()
    (folder / "made" / "w.txt").write_text("made")
    assert await ran(host, rows, version_id) == "made"
    other = await reading(settings, rows, "weights/w.txt", wanted)
    shutil.copytree(folder / "made", version_folder(settings.home, other) / "weights")
    assert await ran(host, rows, other) == "made"
