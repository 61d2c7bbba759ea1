"""Where the API listens, and what is said when it cannot.

Real sockets of this machine are used, no service.
"""

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from cli.address import Address, claim, read_address
from cli.failure import Failure


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_without_settings_it_is_port_8000_of_this_machine_alone() -> None:
    assert read_address({}).url == "http://127.0.0.1:8000"


def test_an_empty_setting_is_none() -> None:
    assert read_address({"PINION_PORT": "", "PINION_HOST": ""}) == Address("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80"), ("::1", "http://[::1]:80")]
)
def test_a_client_gets_an_address_it_can_connect_to(host: str, url: str) -> None:
    assert Address(host, 80).url == url


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5"])
def test_a_port_that_is_none_is_named(port: str) -> None:
    with pytest.raises(Failure, match=f"PINION_PORT={port} is not a port"):
        read_address({"PINION_PORT": port})


def test_a_taken_port_is_said_with_another_that_may_do(taken_port: int) -> None:
    with pytest.raises(Failure, match=f"Port {taken_port} is taken.*PINION_PORT={taken_port + 1} ./pinion up"):
        claim(Address("127.0.0.1", taken_port))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who listens")
def test_a_taken_port_is_said_with_the_process_that_has_it(taken_port: int) -> None:
    with pytest.raises(Failure, match=rf"by .+ \(process {os.getpid()}\)"):
        claim(Address("127.0.0.1", taken_port))


def test_a_host_of_another_machine_is_said() -> None:
    with pytest.raises(Failure, match=r"PINION_HOST=192\.0\.2\.1 is no address of this machine"):
        claim(Address("192.0.2.1", 0))


def test_port_zero_becomes_a_free_port() -> None:
    assert claim(Address("127.0.0.1", 0)).port > 0
