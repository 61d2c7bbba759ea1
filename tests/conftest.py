"""What several kinds of tests share; the work is done in the modules beside."""

import os
from collections.abc import Iterator
from functools import cache
from ssl import SSLContext
from typing import Any

import pytest
from httpx._transports import default as httpx_transports

from tests.file_server import FileServer, serving_files
from tests.receiver import Receiver, SlowReceiver, receiving, receiving_slowly
from tests.shares import Shares

_read_authorities = httpx_transports.create_ssl_context


@cache
def _context(_file: str | None, /, *arguments: Any, **options: Any) -> SSLContext:
    return _read_authorities(*arguments, **options)


# Each client reads all certificate authorities anew, which takes longer than most tests.
httpx_transports.create_ssl_context = lambda *arguments, **options: _context(
    os.environ.get("SSL_CERT_FILE"), *arguments, **options
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also what takes too long for every change")
    parser.addoption("--write-results", action="store_true", help="of faults, into docs/faults.md")
    parser.addoption("--soak-minutes", type=float, default=0.0, help="how long faults are picked at random")
    parser.addoption("--gpu", action="store_true", help="run what is about the engine on a GPU instead of the CPU")


def pytest_configure(config: pytest.Config) -> None:
    """Before tests/text_models.py is imported, which puts models there."""
    if config.getoption("--gpu"):
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("--gpu: torch finds no GPU here. `pinion doctor` says what it sees.")
        os.environ["PINION_TEST_DEVICE"] = "cuda"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shares:
    """Its own groups by marks are not seen since a test's id cannot be changed any more."""
    return Shares(config, log)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def slow_receiver() -> Iterator[SlowReceiver]:
    with receiving_slowly() as receiver:
        yield receiver


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    with serving_files() as server:
        yield server
