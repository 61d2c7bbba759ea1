"""What several kinds of tests share; the work is done in the modules beside."""

import os
from collections.abc import Iterator

import pytest

from tests.database_fixtures import BACKENDS
from tests.file_server import FileServer, serving_files
from tests.receiver import Receiver, SlowReceiver, receiving, receiving_slowly


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--gpu", action="store_true", help="run what is about the engine on a GPU instead of the CPU")


def pytest_configure(config: pytest.Config) -> None:
    """Before tests/text_models.py is imported, which puts models there."""
    if config.getoption("--gpu"):
        import torch

        if not torch.cuda.is_available():
            raise pytest.UsageError("--gpu: torch finds no GPU here. `pinion doctor` says what it sees.")
        os.environ["PINION_TEST_DEVICE"] = "cuda"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes one takes a backend each, so that its servers start once; the rest goes file by file."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        backend = next((value for value in parameters if value in BACKENDS), item.path.name)
        item.add_marker(pytest.mark.xdist_group(backend))


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
