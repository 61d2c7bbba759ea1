"""Rows 41 to 44: readers that are slow, cut off again and again, or late."""

import asyncio
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.events import all_events, outputs
from tests.faults.line import Line
from tests.faults.service import Service
from tests.faults.stack import Stack
from tests.faults.trial import Trial

_GROWTH_BYTES = 40_000_000
_QUIET_SECONDS = 25.0


@dataclass
class Door:
    """An API behind a line."""

    name: str
    line: Line

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.line.port}"


def door(stack: Stack, api: Service) -> Door:
    return Door(api.name, stack.lines.line(api.port))


def through(url: str, api: Service) -> str:
    return f"{api.address}{urlsplit(url).path}"


@pytest.mark.slow
async def test_row_41_a_reader_that_never_reads(trial: Trial) -> None:
    [order] = await trial.started(1, tokens=5_000, seconds=0.0)
    api = trial.stack.apis[0]
    before = api.handle.memory_info().rss
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", api.port))
        path = urlsplit(order.tries[-1].body["urls"]["stream"]).path
        deaf.sendall(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        trial.begins()
        await trial.until(lambda: order.final, 150.0)
        await trial.judged(bound=60.0)
        assert api.handle.memory_info().rss - before < _GROWTH_BYTES


@pytest.mark.slow
async def test_row_42_streams_cut_again_and_again(trial: Trial) -> None:
    doors = [door(trial.stack, api) for api in trial.stack.apis]
    orders = await trial.started(4, tokens=30, seconds=0.05)
    trial.client.apis = doors
    for each in doors:
        each.line.cut_after(700)
    trial.begins()
    await trial.until(lambda: all(order.is_done or order.connections > 2 for order in orders), 60.0)
    for each in doors:
        each.line.heal()
    await trial.judged(bound=15.0)
    assert sum(each.line.cuts for each in doors) > len(orders)


async def test_row_43_a_reader_that_comes_when_all_is_over(trial: Trial) -> None:
    [order] = await trial.started(1, tokens=10)
    await trial.until(lambda: order.final)
    url = through(order.tries[-1].body["urls"]["stream"], trial.stack.apis[1])
    from_redis = await asyncio.to_thread(all_events, url)
    with trial.stack.valkey.client() as redis:
        redis.flushall()
    trial.begins()
    from_row = await asyncio.to_thread(all_events, url)
    resumed = await asyncio.to_thread(all_events, url, from_row[4].id)
    await trial.judged(bound=5.0)
    assert "".join(outputs(from_redis)) == "".join(outputs(from_row)) == order.said
    assert from_row[5:] == resumed


@pytest.mark.slow
async def test_row_44_a_silent_stream_is_kept_alive_and_never_buffered(trial: Trial) -> None:
    [order] = await trial.started(1, tokens=1, seconds=_QUIET_SECONDS / 2)
    url = through(order.tries[-1].body["urls"]["stream"], trial.stack.apis[0])
    trial.begins()
    async with httpx.AsyncClient(timeout=60.0) as http, http.stream("GET", url) as response:
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["cache-control"] == "no-store"
        heard = b"".join([piece async for piece in response.aiter_bytes()])
    await trial.judged(bound=_QUIET_SECONDS + 5.0)
    assert b": still running" in heard
