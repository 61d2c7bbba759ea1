"""Row 37: no room on the disk that holds the database and everything else."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.history import OUT_OF_SPACE, Order
from tests.faults.stack import Stack, running
from tests.faults.trial import Trial, trying
from tests.receiver import Receiver

pytestmark = pytest.mark.slow

_DISK = "64m"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of its own at a folder, in memory."""
    if os.getuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", folder]).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def small() -> Iterator[Stack]:
    with running(is_embedded=True, disk=small_disk) as started:
        yield started


@pytest_asyncio.fixture
async def trial(small: Stack, receiver: Receiver) -> AsyncIterator[Trial]:
    async with trying(small, receiver) as trial:
        yield trial


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Not a byte is free there inside."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    try:
        yield
    finally:
        ballast.unlink()


def is_refused(order: Order) -> bool:
    return OUT_OF_SPACE in [answer.status for answer in order.tries]


async def test_row_37_a_disk_without_room(trial: Trial) -> None:
    await trial.started(4, tokens=10, seconds=0.1)
    with full(trial.stack.home):
        await trial.ordering(lambda: any(is_refused(order) for order in trial.client.orders))
        for path in ("/livez", "/v1/predictions"):
            assert [await trial.status(api, path) for api in trial.stack.apis] == [200, 200]
    trial.begins()
    await trial.judged(bound=15.0)
    assert {order.final["status"] for order in trial.client.orders if order.final} == {"succeeded"}
