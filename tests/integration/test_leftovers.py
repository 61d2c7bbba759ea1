"""What nobody has used for long goes, and never what somebody uses: on real folders, with locks of real processes."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from time import time

import pytest

from shared import storage
from shared.contents import Contents, remove_unshared
from shared.contract import PushedFile, VersionStatus
from shared.database import Database
from shared.settings import Settings
from shared.storage import store_version, version_folder
from tests.database_fixtures import PROJECT, Rows
from tests.file_server import FileServer
from tests.host import Host, installed
from worker.environment import environment_shelf
from worker.inputs import find_nothing
from worker.leftovers import KEPT, Leftovers
from worker.shelf import STAMP, Shelf

HOLDER = """
import asyncio, sys
from pathlib import Path
from worker.shelf import Shelf

async def hold():
    shelf = Shelf(Path(sys.argv[1]), "environment")
    print(await shelf.obtain(sys.argv[2], None, lambda text: None, None), flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


@pytest.fixture
def leftovers(settings: Settings, database: Database) -> Leftovers:
    return Leftovers(settings, database)


def aged(place: Path, by: timedelta = KEPT) -> None:
    moment = time() - by.total_seconds() - 60
    os.utime(place, (moment, moment), follow_symlinks=False)


async def made(shelf: Shelf, name: str, user: str | None = None) -> Path:
    """A folder as a process that has ended since has left it, long ago."""

    async def make(folder: Path) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(sys.executable)

    another = Shelf(shelf.folder, shelf.kind, shelf.is_whole)
    folder = await another.obtain(name, make, lambda text: None, user)
    for descriptor in another._held.values():
        os.close(descriptor)
    aged(folder / STAMP)
    if user:
        aged(shelf.folder / "versions" / user)
    return folder


async def test_an_environment_that_no_version_uses_goes(settings: Settings, rows: Rows, leftovers: Leftovers) -> None:
    shelf = environment_shelf(settings.home)
    served = await installed(settings, rows, "echo")
    failed = await installed(settings, rows, "echo", status=VersionStatus.FAILED)
    used, of_failed, of_none, gone = [
        await made(shelf, name, user)
        for name, user in (("used", served), ("failed", failed), ("none", None), ("gone", "0" * 64))
    ]
    young = await made(shelf, "young")
    (young / STAMP).touch()
    cut_short = shelf.folder / "cut"
    cut_short.mkdir()
    aged(cut_short)
    await leftovers.remove()
    assert [folder.exists() for folder in (used, young)] == [True, True]
    assert [folder.exists() for folder in (of_failed, of_none, gone, cut_short)] == [False] * 4
    assert [note.name for note in (shelf.folder / "versions").iterdir()] == [served]


async def test_an_environment_that_a_process_uses_stays_until_that_ends(
    settings: Settings, rows: Rows, leftovers: Leftovers
) -> None:
    shelf = environment_shelf(settings.home)
    folder = await made(shelf, "held")
    command = [sys.executable, "-c", HOLDER, str(shelf.folder), "held"]
    holder = await asyncio.create_subprocess_exec(*command, cwd=PROJECT, stdin=PIPE, stdout=PIPE)
    try:
        assert holder.stdout is not None
        assert (await holder.stdout.readline()).decode().strip() == str(folder)
        aged(folder / STAMP)
        await leftovers.remove()
        assert (folder / STAMP).exists()
    finally:
        holder.kill()
        await holder.wait()
    await leftovers.remove()
    assert not folder.exists()


async def test_one_that_was_removed_is_made_anew(settings: Settings, rows: Rows, leftovers: Leftovers) -> None:
    shelf = environment_shelf(settings.home)
    await made(shelf, "again")
    await leftovers.remove()
    assert await shelf.noted("0" * 64, lambda text: None) is None
    assert (await made(shelf, "again") / "bin" / "python").exists()


async def test_weights_of_a_version_stay_and_those_of_none_go(
    settings: Settings, rows: Rows, host: Host, leftovers: Leftovers, file_server: FileServer
) -> None:
    kept = await installed(settings, rows, "shows_its_weights", weights=file_server.gives("/kept", b"k" * (1 << 20)))
    assert (await host.run(rows, kept, input={})).output.endswith("kkk")
    weights = host.residency._provisions.weights
    folder = await weights._obtain(
        "served", "served", weights._web(file_server.gives("/served", b"s"), find_nothing), lambda text: None, None
    )
    for descriptor in weights._shelf._held.values():
        os.close(descriptor)
    for entry in (settings.home / "weights").glob("*/" + STAMP):
        aged(entry)
    for note in (settings.home / "weights" / "versions").iterdir():
        aged(note)
    await leftovers.remove()
    assert not folder.exists()
    assert len(list((settings.home / "weights").rglob("kept"))) == 1


def pushed(settings: Settings, **files: bytes) -> tuple[str, Contents]:
    contents = Contents(settings.home, "account")
    described = []
    for name, content in files.items():
        digest = sha256(content).hexdigest()
        arrival = contents.open(digest, 0)
        arrival.write(content)
        arrival.close()
        assert contents.keep(digest, len(content))
        described.append(PushedFile(path=name, size=len(content), sha256=digest))
    return store_version(settings.home, "me/model", described, contents), contents


async def test_a_content_that_a_version_shares_stays_and_others_go(settings: Settings) -> None:
    large, small = b"l" * (1 << 20), b"small"
    version_id, contents = pushed(settings, large=large, small=small)
    half = contents.open("0" * 64, 0)
    half.write(b"half")
    half.close()
    assert remove_unshared(settings.home, 3600) == 0
    assert remove_unshared(settings.home, 0) == 2
    assert contents.has(sha256(large).hexdigest(), len(large))
    assert contents.received("0" * 64) == 0
    assert (version_folder(settings.home, version_id) / "small").read_bytes() == small


async def test_a_content_that_is_asked_for_is_as_good_as_new(settings: Settings) -> None:
    _, contents = pushed(settings, small=b"small")
    digest = sha256(b"small").hexdigest()
    before = contents._place(digest).stat().st_ctime_ns
    assert contents.has(digest, 5)
    assert contents._place(digest).stat().st_ctime_ns > before


async def test_while_a_push_is_put_together_nothing_is_taken_from_it(settings: Settings) -> None:
    _, contents = pushed(settings, small=b"small")
    with contents.used():
        assert remove_unshared(settings.home, 0) == 0
    assert remove_unshared(settings.home, 0) == 1


async def test_pushes_that_were_cut_short_go(settings: Settings, rows: Rows, leftovers: Leftovers) -> None:
    version_id = await installed(settings, rows, "echo")
    old, new = [version_folder(settings.home, f"{prefix}{name}") for prefix in storage._DRAFTS[:1] for name in "ab"]
    for draft in (old, new):
        (draft / "folder").mkdir(parents=True)
    aged(old)
    aged(version_folder(settings.home, version_id))
    await leftovers.remove()
    assert [place.exists() for place in (old, new, version_folder(settings.home, version_id))] == [False, True, True]
