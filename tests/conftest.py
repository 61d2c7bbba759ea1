"""What several kinds of tests share; the work is done in the modules beside."""

from collections.abc import Iterator

import pytest

from tests.file_server import FileServer, serving_files
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    with serving_files() as server:
        yield server
