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

PATIENCE_SECONDS = 10


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    return [entry(tmp_path, str(number)) for number in range(20)]


def entry(folder: Path, name: str) -> Entry:
    (folder / name).write_text(name)
    return Entry(name, folder / name, len(name), hashlib.sha256(name.encode()).hexdigest(), False)


class Server:
    """Takes contents as `receive` says, and asks for those that did not arrive."""

    def __init__(self, receive: Callable[[], httpx.Response]) -> None:
        self._receive = receive
        self.held: dict[str, bytes] = {}

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer), base_url="http://pinion/v1")

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            answer = self._receive()
            if answer.is_success:
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
    assert sorted(server.held.values()) == sorted(each.path.encode() for each in entries[:8])


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
