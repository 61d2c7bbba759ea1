"""A whole Pinion for each of the two ways to run it: with its embedded servers, and on Postgres and Redis."""

from collections.abc import Generator, Iterator

import pytest

from tests.instance import BACKENDS, Api, Instance, running


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks the instance comes last."""
    items.sort(key=lambda item: item.path.name == "test_faults.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what the services had to say."""
    report = yield
    instance = getattr(item, "funcargs", {}).get("instance")
    if report.failed and instance:
        report.sections.append(("logs of the services", instance.logs()))
    return report


@pytest.fixture(scope="session", params=BACKENDS)
def instance(request: pytest.FixtureRequest) -> Iterator[Instance]:
    """One for all tests: to start it takes longer than most of them."""
    with running(request.param) as instance:
        yield instance


@pytest.fixture
def api(instance: Instance) -> Iterator[Api]:
    with Api(instance) as api:
        yield api
