"""When the bundled model has to be registered, and the questions `up` asks a starting server.

A few lines of HTTP stand in for the API.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli import bundled, probe
from cli.address import Address

NOBODY = Address("127.0.0.1", 1)


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
async def address(asked: list[str]) -> AsyncIterator[Address]:
    """A server that knows the bundled model, and no other."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(request)
        found = f"/v1/models/{bundled.NAME} " in request
        body = json.dumps({"latest_version": {"id": "f" * 64}})
        writer.write(f"HTTP/1.1 {200 if found else 404} Whatever\r\nServer: x\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])


async def test_a_model_is_registered_once(address: Address, tmp_path: Path, asked: list[str]) -> None:
    note = tmp_path / "bundled-model"
    assert not await bundled.is_registered(note, address, "r8_token")
    bundled.note_registered(note)
    assert await bundled.is_registered(note, address, "r8_token")
    assert "\r\nAuthorization: Bearer r8_token\r\n" in asked[-1]


async def test_a_server_that_forgot_the_model_gets_it_again(tmp_path: Path) -> None:
    bundled.note_registered(tmp_path / "bundled-model")
    assert not await bundled.is_registered(tmp_path / "bundled-model", NOBODY, "r8_token")


async def test_a_changed_model_is_registered_again(
    address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    (model / "__pycache__").mkdir(parents=True)
    (model / "predict.py").write_text("one")
    monkeypatch.setattr(bundled, "FOLDER", model)
    bundled.note_registered(tmp_path / "note")
    (model / "__pycache__" / "predict.pyc").write_text("made by Python")
    assert await bundled.is_registered(tmp_path / "note", address, "r8_token")
    (model / "predict.py").write_text("two")
    assert not await bundled.is_registered(tmp_path / "note", address, "r8_token")


async def test_a_server_that_is_not_there_has_no_answer(tmp_path: Path) -> None:
    assert await probe.get(NOBODY, "/readyz") == (0, b"")
    assert await probe.ask_valkey(tmp_path / "valkey.sock", b"PING") == b""
    assert not await probe.is_reachable("127.0.0.1", 1)


async def test_a_server_answers_with_its_status_and_body(address: Address) -> None:
    status, body = await probe.get(address, "/other")
    assert status == 404
    assert json.loads(body) == {"latest_version": {"id": "f" * 64}}
    assert await probe.is_reachable(address.near_host, address.port)
