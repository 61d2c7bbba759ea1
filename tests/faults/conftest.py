"""One stack for all tests of faults: to start it takes longer than most of them."""

from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

from tests.faults.results import Result, result, write
from tests.faults.stack import Stack, running
from tests.faults.trial import Trial, trying
from tests.receiver import Receiver

_RESULTS = pytest.StashKey[dict[str, Result]]()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with running() as started:
        yield started


@pytest_asyncio.fixture
async def trial(stack: Stack, receiver: Receiver) -> AsyncIterator[Trial]:
    async with trying(stack, receiver) as trial:
        yield trial


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the services had to say."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack:
        report.sections.append(("logs of the services", stack.logs()))
    if report.failed or (report.passed and report.when == "call"):
        item.config.stash.setdefault(_RESULTS, {})[item.name] = result(item, report)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--write-results"):
        write(session.config.stash.get(_RESULTS, {}).values())
