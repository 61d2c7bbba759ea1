"""What users name and we connect to, at every door: nothing private is reached, however it is spelled or hidden.

How the guard tells them stands in `test_addresses`, what the client does otherwise in `test_outbound`.
"""

from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from shared.contract import Status, WebhookEvent
from shared.database import Database
from shared.ids import new_id
from shared.live import Feed
from shared.settings import Settings
from tests.database_fixtures import Backend, Rows
from tests.file_server import FileServer
from tests.host import hosting, installed
from tests.listener import Listener
from tests.private_hosts import ELSEWHERE, LOOPBACK
from worker.deliver import Sender
from worker.outbound import Outbound

NO_QUEUE: Any = None
"""The job does not use the worker that runs it."""
BLOCKED = ("address not allowed by policy", "the host name could not be resolved")


@pytest.fixture
def settings(servers: Backend, tmp_path: Path) -> Settings:
    """Of an installation whose operator has opened nothing."""
    return servers.settings(home=tmp_path)


async def test_no_webhook_to_one_is_accepted(client: httpx.AsyncClient, rows: Rows) -> None:
    for host in (*LOOPBACK, *ELSEWHERE):
        url = f"http://{host}:8080/hook"
        wanted = {"version": rows.version_id, "input": {"text": "hello"}, "webhook": url}
        for path, body in (("predictions", wanted), ("webhooks/endpoints", {"url": url})):
            refused = await client.post(f"/v1/{path}", json=body)
            assert refused.status_code == 422, (host, refused.text)
            assert [each["field"] for each in refused.json()["invalid_fields"]] in (["webhook"], ["url"])
    for path in ("predictions", "webhooks/endpoints"):
        assert (await client.get(f"/v1/{path}")).json()["results"] == [], "a refused one leaves nothing"


async def test_none_is_connected_to_for_a_webhook_that_was_accepted_before_its_name_led_there(
    settings: Settings, rows: Rows, listener: Listener
) -> None:
    async with Outbound(settings.webhook_allow_cidrs) as guarded:
        sender = Sender(settings, rows.database, guarded, new_id())
        for host in (*LOOPBACK, *ELSEWHERE):
            row = await rows.ended(webhook=listener.url(host), webhook_events=(WebhookEvent.COMPLETED,))
            await sender.deliver(NO_QUEUE, row.id)
            [message] = await rows.messages(row.id)
            assert (message.state, message.last_answer in BLOCKED) == ("pending", True), (host, message.last_answer)
    assert listener.connections == 0


async def test_none_is_connected_to_for_a_file_of_an_input(
    settings: Settings, database: Database, feed: Feed, rows: Rows, listener: Listener
) -> None:
    async with hosting(settings, database, feed) as host:
        version_id = await installed(settings, rows, "describes_files")
        for name in (*LOOPBACK, *ELSEWHERE):
            ended = await host.run(rows, version_id, input={"file": listener.url(name)})
            assert ended.status == Status.FAILED
            assert ended.error.removeprefix("could not download input.file: ") in BLOCKED, (name, ended.error)
    assert listener.connections == 0


async def test_none_is_connected_to_for_the_weights_of_a_version(
    settings: Settings, database: Database, feed: Feed, rows: Rows, listener: Listener
) -> None:
    async with hosting(settings, database, feed) as host:
        for name in (*LOOPBACK, *ELSEWHERE):
            version_id = await installed(settings, rows, "shows_its_weights", weights=listener.url(name))
            ended = await host.run(rows, version_id, input={})
            assert ended.status == Status.FAILED
            assert any(why in ended.error for why in BLOCKED), (name, ended.error)
    assert listener.connections == 0


async def test_none_is_connected_to_because_a_server_that_may_be_asked_says_so(
    servers: Backend, tmp_path: Path, database: Database, feed: Feed, rows: Rows, file_server: FileServer
) -> None:
    only_one = (ip_network("127.0.0.1/32"),)
    settings = servers.settings(home=tmp_path, file_allow_cidrs=only_one)
    async with hosting(settings, database, feed) as host:
        version_id = await installed(settings, rows, "describes_files")
        for name in ELSEWHERE:
            redirecting = file_server.redirects("/away", f"http://{name}:{urlsplit(file_server.url).port}/secret")
            ended = await host.run(rows, version_id, input={"file": redirecting})
            assert ended.error == f"could not download input.file: {BLOCKED[0]}", name
    assert set(file_server.asked) == {"/away"}
