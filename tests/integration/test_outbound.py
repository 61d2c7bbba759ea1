"""The outbound client against a real local listener: what it must never reach, and how it behaves when it may."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from shared.addresses import IPNetwork
from shared.errors import (
    AddressBlocked,
    AnswerTimeout,
    ConnectFailed,
    ConnectionLost,
    NameUnresolved,
    OutboundError,
)
from tests.certificate import KEY_AND_CERTIFICATE
from tests.listener import OK, Behaviour, Listener, answering, drip_feeding, hanging, hanging_up, pouring
from tests.private_hosts import ELSEWHERE
from tests.private_hosts import LOOPBACK as SPELLINGS
from worker import peers
from worker.outbound import Answer, Outbound, fetch, post

LOOPBACK: list[IPNetwork] = [ip_network("127.0.0.0/8"), ip_network("::1/128")]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name → addresses, instead of the real DNS; the list of a name may change between two lookups."""
    table: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


async def deliver(url: str, allowed: list[IPNetwork] = LOOPBACK, seconds: float = 5) -> Answer:
    async with Outbound(allowed) as client:
        return await post(client, url, b"{}", {"content-type": "application/json"}, total=timedelta(seconds=seconds))


@pytest.mark.parametrize("host", [*SPELLINGS, *ELSEWHERE])
async def test_no_spelling_of_a_private_address_reaches_the_listener(listener: Listener, host: str) -> None:
    with pytest.raises(OutboundError) as caught:
        await deliver(listener.url(host), allowed=[])
    assert isinstance(caught.value, AddressBlocked | NameUnresolved)
    assert listener.connections == 0


async def test_a_name_that_turned_out_private_is_blocked(listener: Listener, names: dict[str, list[str]]) -> None:
    names["receiver.test"] = ["127.0.0.1"]
    with pytest.raises(AddressBlocked, match="address not allowed by policy"):
        await deliver(listener.url("receiver.test"), allowed=[])
    assert listener.connections == 0


async def test_one_private_address_among_public_ones_blocks_the_name(
    listener: Listener, names: dict[str, list[str]]
) -> None:
    names["receiver.test"] = ["127.0.0.1", "93.184.216.34", "10.0.0.1"]
    with pytest.raises(AddressBlocked):
        await deliver(listener.url("receiver.test"), allowed=LOOPBACK)
    assert listener.connections == 0


async def test_a_metadata_address_is_blocked_although_its_network_is_allowed(names: dict[str, list[str]]) -> None:
    names["receiver.test"] = ["169.254.169.254"]
    with pytest.raises(AddressBlocked):
        await deliver("http://receiver.test/", allowed=[ip_network("169.254.0.0/16")])


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379/", "http://receiver.test:25/"])
async def test_no_connection_is_made_to_a_port_of_another_kind_of_server(names: dict[str, list[str]], url: str) -> None:
    names["receiver.test"] = ["127.0.0.1"]
    with pytest.raises(AddressBlocked, match=r"port \d+ not allowed by policy"):
        await deliver(url)


async def test_an_allowed_network_is_reached(listener: Listener) -> None:
    answer = await deliver(listener.url())
    assert (answer.status, answer.head) == (200, b"ok")
    assert answer.milliseconds >= 0
    assert listener.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert listener.requests[0].endswith(b"\r\n\r\n{}")


async def test_the_host_header_keeps_the_name_and_userinfo_becomes_basic_auth(
    listener: Listener, names: dict[str, list[str]]
) -> None:
    names["receiver.test"] = ["127.0.0.1"]
    await deliver(listener.url("user:pass@receiver.test"))
    assert f"\r\nhost: receiver.test:{listener.port}\r\n".encode() in listener.requests[0].lower()
    assert b"Basic dXNlcjpwYXNz" in listener.requests[0]


async def test_consecutive_deliveries_share_one_connection_and_its_checked_address(
    listener: Listener, names: dict[str, list[str]]
) -> None:
    names["receiver.test"] = ["127.0.0.1"]
    async with Outbound(LOOPBACK) as client:
        for _ in range(5):
            await post(client, listener.url("receiver.test"), b"{}", {}, total=timedelta(seconds=5))
            names["receiver.test"] = ["10.0.0.1"]
    assert (listener.connections, len(listener.requests)) == (1, 5)


async def test_a_name_is_asked_for_once_so_that_it_cannot_change_between_check_and_connection(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.77", "127.0.0.1", "127.0.0.1"])  # nobody listens at the first, which alone is allowed

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with Outbound([ip_network("127.0.0.77/32")]) as client:
        for expected in (ConnectFailed, AddressBlocked):
            with pytest.raises(expected):
                await post(client, listener.url("receiver.test"), b"{}", {}, total=timedelta(seconds=5))
    assert listener.connections == 0
    assert len(list(answers)) == 1


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "unix:///run/docker.sock", "http+unix://%2Frun%2Fdocker.sock/"]
)
async def test_nothing_but_http_is_spoken(url: str) -> None:
    with pytest.raises(AddressBlocked):
        await deliver(url)
    async with Outbound(LOOPBACK) as client:
        with pytest.raises(AddressBlocked):
            await fetch(client, url, BytesIO())


async def test_a_password_is_not_taken_along_to_where_a_redirect_leads(
    listener: Listener, names: dict[str, list[str]]
) -> None:
    names["files.test"] = names["elsewhere.test"] = ["127.0.0.1"]
    location = listener.url("elsewhere.test")
    answers = iter([f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode(), OK])

    async def redirecting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(next(answers))(reader, writer)

    listener.behaviour = redirecting
    async with Outbound(LOOPBACK) as client:
        await fetch(client, listener.url("user:pass@files.test"), BytesIO())
    first, second = listener.requests
    assert b"Basic dXNlcjpwYXNz" in first
    assert b"authorization" not in second.lower()


async def test_a_silent_first_address_does_not_hide_a_living_second_one(
    listener: Listener, names: dict[str, list[str]]
) -> None:
    names["receiver.test"] = ["127.0.0.77", "127.0.0.1"]
    assert (await deliver(listener.url("receiver.test"))).status == 200


async def test_a_redirect_is_reported_and_not_followed(listener: Listener) -> None:
    elsewhere = f"HTTP/1.1 302 Found\r\nlocation: {listener.url()}/x\r\ncontent-length: 0\r\n\r\n"
    listener.behaviour = answering(elsewhere.encode())
    assert (await deliver(listener.url())).status == 302
    assert len(listener.requests) == 1


async def test_a_drip_feeding_receiver_is_cut_off_by_the_wall_clock(listener: Listener) -> None:
    listener.behaviour = drip_feeding
    async with asyncio.timeout(10):
        with pytest.raises(AnswerTimeout):
            await deliver(listener.url(), seconds=0.3)


async def test_a_silent_receiver_is_cut_off_by_the_wall_clock(listener: Listener) -> None:
    listener.behaviour = hanging
    with pytest.raises(AnswerTimeout):
        await deliver(listener.url(), seconds=0.2)


async def test_of_an_answer_without_an_end_only_the_beginning_is_read(listener: Listener) -> None:
    listener.behaviour = pouring
    answer = await deliver(listener.url())
    assert (answer.status, answer.head) == (200, b"x" * 4096)


async def test_an_answer_just_under_the_cap_leaves_the_connection_usable(listener: Listener) -> None:
    listener.behaviour = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 16000\r\n\r\n" + b"x" * 16_000)
    async with Outbound(LOOPBACK) as client:
        for _ in range(2):
            answer = await post(client, listener.url(), b"{}", {}, total=timedelta(seconds=5))
            assert len(answer.head) == 4096
    assert listener.connections == 1


async def test_cookies_are_neither_kept_nor_sent(listener: Listener) -> None:
    listener.behaviour = answering(b"HTTP/1.1 200 OK\r\nset-cookie: a=b; path=/\r\ncontent-length: 0\r\n\r\n")
    async with Outbound(LOOPBACK) as client:
        for _ in range(2):
            await post(client, listener.url(), b"{}", {}, total=timedelta(seconds=5))
    assert b"cookie" not in listener.requests[1].lower()


async def test_proxies_and_passwords_of_the_environment_are_ignored(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert (await deliver(listener.url())).status == 200
    assert b"authorization" not in listener.requests[0].lower()


async def test_compressed_answers_are_not_asked_for(listener: Listener) -> None:
    await deliver(listener.url())
    assert b"accept-encoding: identity" in listener.requests[0].lower()


async def test_a_name_nobody_knows_is_reported_as_such(names: dict[str, list[str]]) -> None:
    with pytest.raises(NameUnresolved):
        await deliver("http://receiver.test/")


async def test_a_refused_connection_is_reported_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectFailed):
        await deliver(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("behaviour", [hanging_up, answering(b"HTTP/9.9 nonsense\r\n\r\n")], ids=["cut", "nonsense"])
async def test_half_an_answer_is_reported_as_a_lost_connection(listener: Listener, behaviour: Behaviour) -> None:
    listener.behaviour = behaviour
    with pytest.raises(ConnectionLost):
        await deliver(listener.url())


class TestTls:
    """TLS towards the checked address still asks for, and insists on, the name in the URL."""

    @pytest_asyncio.fixture
    async def secure_listener(self, tmp_path: Path) -> AsyncIterator[tuple[Listener, list[str | None]]]:
        """The listener and the server names it was asked for."""
        chain = tmp_path / "chain.pem"
        chain.write_text(KEY_AND_CERTIFICATE)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        asked: list[str | None] = []
        context.sni_callback = lambda connection, name, context: asked.append(name)
        async for started in Listener().serve(tls=context):
            yield started, asked

    async def ask(self, url: str) -> Answer:
        trusting = ssl.create_default_context(cadata=KEY_AND_CERTIFICATE)
        async with Outbound(LOOPBACK, ssl_context=trusting) as client:
            return await post(client, url, b"{}", {}, total=timedelta(seconds=5))

    async def test_the_name_in_the_url_is_asked_for_and_verified(
        self, secure_listener: tuple[Listener, list[str | None]], names: dict[str, list[str]]
    ) -> None:
        listener, asked = secure_listener
        names["receiver.test"] = ["127.0.0.1"]
        assert (await self.ask(listener.url("receiver.test", "https"))).status == 200
        assert asked == ["receiver.test"]
        assert peers.last() == "127.0.0.1"

    async def test_another_name_for_the_same_address_is_refused(
        self, secure_listener: tuple[Listener, list[str | None]], names: dict[str, list[str]]
    ) -> None:
        listener, _ = secure_listener
        names["impostor.test"] = ["127.0.0.1"]
        with pytest.raises(ConnectFailed, match="certificate"):
            await self.ask(listener.url("impostor.test", "https"))
        assert listener.requests == []

    async def test_a_certificate_nobody_signed_is_refused(
        self, secure_listener: tuple[Listener, list[str | None]], names: dict[str, list[str]]
    ) -> None:
        listener, _ = secure_listener
        names["receiver.test"] = ["127.0.0.1"]
        with pytest.raises(ConnectFailed):
            await deliver(listener.url("receiver.test", "https"))
        assert listener.requests == []
