"""How contents are sent: several at once, and all of them stopped by the first that fails.

That an upload goes on after a cut is shown in tests/acceptance/test_push.py.
"""

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from cli.failure import Failure
from cli.inventory import Entry
from cli.upload import upload
from shared.contents import unpacked

PATIENCE_SECONDS = 10


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    return [entry(tmp_path, str(number)) for number in range(20)]


def entry(folder: Path, name: str) -> Entry:
    """Too large to share a request with others."""
    content = name.ljust(1 << 16).encode()
    (folder / name).write_bytes(content)
    return Entry(name, folder / name, len(content), hashlib.sha256(content).hexdigest(), False)


class Server:
    """Takes contents as `receive` says, and asks for those that did not arrive."""

    def __init__(self, receive: Callable[[], httpx.Response]) -> None:
        self._receive = receive
        self.held: dict[str, bytes] = {}
        self.packs: list[list[bytes]] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer), base_url="http://pinion/v1")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            answer = self._receive()
            if answer.is_success and request.url.params.get("packed"):
                self.packs.append(list(unpacked(request.read())))
                self.held.update((hashlib.sha256(content).hexdigest(), content) for content in self.packs[-1])
            elif answer.is_success:
                self.held[request.url.path.rpartition("/")[2]] = request.read()
            return answer
        wanted = json.loads(request.read())["files"]
        missing = [{**file, "received": 0} for file in wanted if file["sha256"] not in self.held]
        return httpx.Response(202, json={"missing": missing}) if missing else httpx.Response(201, json={"id": "v"})


def test_eight_contents_are_under_way_at_once(entries: list[Entry]) -> None:
    together = threading.Barrier(8)

    def receive() -> httpx.Response:
        together.wait(PATIENCE_SECONDS)
        return httpx.Response(200, json={})

    server = Server(receive)
    with server.client() as client:
        assert upload(client, "pinion/many", entries[:8], {}) == {"id": "v"}
    assert sorted(server.held.values()) == sorted(each.place.read_bytes() for each in entries[:8])


def test_small_contents_share_requests_that_stay_small(tmp_path: Path, entries: list[Entry]) -> None:
    files = {str(number): f"{number}".encode() * (number % 7) for number in range(2000)} | {"32 KiB": b"a" * (1 << 15)}
    small = []
    for name, content in files.items():
        (tmp_path / f"small {name}").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        small.append(Entry(name, tmp_path / f"small {name}", len(content), sha256, False))
    server = Server(lambda: httpx.Response(200, json={}))
    with server.client() as client:
        assert upload(client, "pinion/small", [*small, *entries], {}) == {"id": "v"}
    assert {*server.held.values()} == {*files.values(), *(each.place.read_bytes() for each in entries)}
    assert len(server.packs) <= 3
    assert max(sum(map(len, pack)) for pack in server.packs) < 1 << 20


def test_a_small_file_that_changes_while_it_is_sent_is_named(tmp_path: Path) -> None:
    entries = [Entry(name, tmp_path / name, 1, hashlib.sha256(name.encode()).hexdigest(), False) for name in "ab"]
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("longer by now")
    server = Server(lambda: httpx.Response(200, json={}))
    with server.client() as client, pytest.raises(Failure, match=r"/b changed while it was sent: push again"):
        upload(client, "pinion/changing", entries, {})


def test_after_a_cut_everything_arrives_all_the_same(entries: list[Entry]) -> None:
    cuts = iter([5])

    def receive() -> httpx.Response:
        if len(server.held) >= 5 and next(cuts, None):
            raise httpx.ReadError("cut")
        return httpx.Response(200, json={})

    server = Server(receive)
    with server.client() as client:
        assert upload(client, "pinion/cut", entries, {}) == {"id": "v"}
    assert len(server.held) == len(entries)


def test_a_content_that_is_refused_stops_the_others(entries: list[Entry]) -> None:
    asked = []

    def receive() -> httpx.Response:
        asked.append(1)
        return httpx.Response(422, json={"detail": "What arrived is not the content"})

    with Server(receive).client() as client, pytest.raises(Failure, match="is not the content"):
        upload(client, "pinion/refused", entries, {})
    assert len(asked) <= 8
