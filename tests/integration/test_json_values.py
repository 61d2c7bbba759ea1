"""A JSON value comes back as it went in, to the last digit, wherever it is told."""

import json
from typing import Any

import httpx
import pytest

from shared.contract import Status
from shared.live import replay
from shared.queue import RedisPool
from shared.settings import Settings
from tests.database_fixtures import Rows
from tests.host import Host, installed

VALUES = (
    "0.0",
    "-0.0",
    "1.0",
    "1e22",
    "1180591620717411303424",
    "-9223372036854775809",
    '"1"',
    '"01"',
    "true",
    "[0.0]",
)


@pytest.mark.parametrize("value", [*VALUES, '{"a":1.0,"b":[9223372036854775808,null]}', '"null"', '""'])
async def test_an_output_is_the_input_it_repeats(
    settings: Settings, rows: Rows, host: Host, client: httpx.AsyncClient, value: str
) -> None:
    version_id = await installed(settings, rows, "returns_its_input")
    given = json.loads(value)
    ended = await host.run(rows, version_id, input={"value": given}, webhook="http://127.0.0.1:9/")
    assert (ended.status, ended.error) == (Status.SUCCEEDED, None)
    answer = (await client.get(f"/v1/predictions/{ended.id}")).text
    body = (await rows.messages(ended.id))[-1].body.decode()
    for told in (answer, body):
        assert f'"input":{{"value":{value}}}' in told
        assert f'"output":{value},' in told


async def test_an_item_is_told_live_as_it_was_yielded(
    redis: RedisPool, settings: Settings, rows: Rows, host: Host
) -> None:
    version_id = await installed(settings, rows, "yields_its_input", is_iterator=True)
    given: list[Any] = json.loads(f"[{','.join(VALUES)}]")
    ended = await host.run(rows, version_id, streams=True, input={"values": given})
    told = [value for chunk in await replay(redis, ended.id) for value in chunk.values]
    assert repr(told) == repr(given) == repr(ended.output)
