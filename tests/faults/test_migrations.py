"""Rows 51 and 52: what was there before the newest migration, and what is there now, work together and take turns."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from cli.migrate import newest_revision
from tests.faults.history import Order
from tests.faults.service import Service
from tests.faults.stack import DRAIN_SECONDS, Stack, running
from tests.faults.trial import Trial, crowding, trying
from tests.instance import PROJECT
from tests.receiver import Receiver

pytestmark = pytest.mark.slow


_MIGRATIONS = "migrations/versions"


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code as it was before the newest migration."""
    folder = tmp_path_factory.mktemp("former")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=git("archive", former_commit()), check=True)
    return folder


def former_commit() -> str:
    """The last one that has all migrations but the newest."""
    folder = PROJECT / _MIGRATIONS
    newest = newest_revision(folder)
    before = {file.name for file in folder.glob("*.py") if not file.name.startswith(f"{newest}_")}
    for commit in git("rev-list", "HEAD").decode().split():
        if set(git("ls-tree", "--name-only", f"{commit}:{_MIGRATIONS}").decode().split()) == before:
            return commit
    return pytest.skip("the newest migration has come together with another one")


def git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True)
    return done.stdout if done.returncode == 0 else pytest.skip("there is no history of the code here")


@pytest.fixture(scope="module")
def stack(former: Path) -> Iterator[Stack]:
    with running(code=former) as started:
        yield started


@pytest_asyncio.fixture
async def trial(stack: Stack, receiver: Receiver) -> AsyncIterator[Trial]:
    async with trying(stack, receiver) as trial:
        yield trial


@asynccontextmanager
async def load(trial: Trial) -> AsyncIterator[None]:
    """Order after order while what is inside is done."""
    is_over = asyncio.Event()
    ordering = asyncio.create_task(trial.ordering(is_over.is_set, tokens=5))
    try:
        yield
    finally:
        is_over.set()
        await ordering


async def some_end(trial: Trial) -> None:
    """Some that were accepted from now on."""
    orders = await trial.started(4)
    await trial.until(lambda: all(order.final for order in orders), 60.0)


async def replaced(stack: Stack, services: list[Service], code: Path) -> None:
    """Stopped as a deploy does it, and started with other code."""
    for service in services:
        service.signal(signal.SIGTERM)
        await asyncio.to_thread(service.ended, (DRAIN_SECONDS + 10.0) * crowding())
        service.code = code
        await asyncio.to_thread(stack.heal)


async def migrated(stack: Stack, code: Path) -> None:
    stack.code = code
    await asyncio.to_thread(stack.command, "migrate")


def halves(stack: Stack) -> tuple[list[Service], list[Service]]:
    first, *others = (list(pair) for pair in zip(stack.apis, stack.workers, strict=True))
    return first, [*others[0], stack.sender]


def all_succeeded(orders: list[Order]) -> bool:
    return {order.final["status"] for order in orders if order.final} == {"succeeded"}


async def test_row_51_a_release_with_a_migration_under_load(trial: Trial) -> None:
    async with load(trial):
        await some_end(trial)
        await migrated(trial.stack, PROJECT)
        await some_end(trial)
        for services in halves(trial.stack):
            await replaced(trial.stack, services, PROJECT)
            await some_end(trial)
    trial.begins()
    await trial.judged(bound=10.0)
    assert all_succeeded(trial.client.orders)


async def test_row_52_a_release_taken_back_after_its_migration(trial: Trial, former: Path) -> None:
    await migrated(trial.stack, PROJECT)
    await replaced(trial.stack, list(trial.stack.services.values()), PROJECT)
    async with load(trial):
        await some_end(trial)
        await migrated(trial.stack, former)
        for services in halves(trial.stack):
            await replaced(trial.stack, services, former)
            await some_end(trial)
    trial.begins()
    await trial.judged(bound=10.0)
    assert all_succeeded(trial.client.orders)
