"""Rows 1 to 6: APIs that die, stop, freeze, or are kept busy; clients go on with the other one."""

import asyncio
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic

import httpx
import pytest

from tests.faults.service import Service
from tests.faults.stack import TOKEN
from tests.faults.trial import Trial, crowding

_OPEN_FILES = 64
_ALIVE_SECONDS = 1.0
"""How long /livez may take; a request that is read at the same time is answered in pieces of a tenth of a second."""


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before_insert", "before_answer"])
async def test_row_01_an_api_killed_within_a_request(trial: Trial, point: str) -> None:
    orders = await trial.crashed(trial.stack.apis[0], point, tokens=5)
    await trial.judged(bound=4.0)
    assert any(answer.status is None for order in orders for answer in order.tries)


async def test_row_02_an_api_killed_between_commit_and_queue(trial: Trial) -> None:
    await trial.crashed(trial.stack.apis[0], "before_send")
    await trial.judged(bound=5.0)


@pytest.mark.slow
async def test_row_03_an_api_told_to_stop_while_it_streams(trial: Trial) -> None:
    orders = await trial.started(6, tokens=15, seconds=0.05)
    await trial.until(lambda: any(order.heard for order in orders))
    api = trial.stack.apis[0]
    api.signal(signal.SIGTERM)
    trial.begins()
    await trial.crowded(lambda: not api.is_up, 10.0)
    assert api.ended(0) in (0, -signal.SIGTERM)  # uvicorn ends in good order, and says what it was told
    await trial.judged(bound=10.0)


@pytest.mark.slow
async def test_row_04_a_frozen_api(trial: Trial) -> None:
    orders = trial.client.orders_many(4, tokens=10, seconds=0.1)
    await trial.until(lambda: any(order.heard for order in orders))
    api = trial.stack.apis[0]
    api.signal(signal.SIGSTOP)
    trial.begins()
    later = await trial.started(2)
    await trial.until(lambda: all(order.final for order in later))
    await trial.until(lambda: trial.elapsed > 10.0)
    api.signal(signal.SIGCONT)
    await trial.judged(bound=25.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"input": {"a": [' + b"0," * 4_000_000 + b"0]}}", b'{"a": "' + b"x" * 12_000_000 + b'"}'],
    ids=["nested", "wide", "long"],
)
async def test_row_05_bodies_that_are_hard_to_read_hold_up_nobody(trial: Trial, body: bytes) -> None:
    api = trial.stack.apis[0]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(timeout=60.0) as http:
        trial.begins()
        hard = [asyncio.create_task(http.post(f"{api.address}/v1/predictions", content=body, headers=headers))]
        slowest = 0.0
        while not all(task.done() for task in hard):
            began = monotonic()
            assert (await http.get(f"{api.address}/livez")).status_code == 200
            slowest = max(slowest, monotonic() - began)
        refused = [await task for task in hard]
    assert slowest < _ALIVE_SECONDS * crowding()
    assert {answer.status_code for answer in refused} <= {400, 422}
    trial.client.order()
    await trial.judged(bound=10.0)


@contextmanager
def few_files(api: Service) -> Iterator[None]:
    """It may open no more inside, and need not say that it lives."""
    usual = api.handle.rlimit(resource.RLIMIT_NOFILE)
    with api.disturbed():
        api.handle.rlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, usual[1]))
        try:
            yield
        finally:
            api.handle.rlimit(resource.RLIMIT_NOFILE, usual)


@pytest.mark.slow
async def test_row_06_an_api_without_file_descriptors(trial: Trial) -> None:
    api = trial.stack.apis[0]
    orders = await trial.started(2, tokens=30, seconds=0.1)
    await trial.until(lambda: all(order.heard for order in orders))
    with few_files(api), ExitStack() as held:
        for _ in range(2 * _OPEN_FILES):
            held.enter_context(socket.create_connection(("127.0.0.1", api.port), timeout=5))
        trial.client.orders_many(4)
        await trial.until(lambda: all(order.final for order in trial.client.orders), 60.0)
    trial.begins()
    await trial.judged(bound=10.0)
