"""What `up` decides before the first process starts, and what it says in the end.

Nothing is started.
"""

import asyncio
import shlex
import socket
from pathlib import Path

import pytest

from cli import home
from cli.address import Address
from cli.failure import Failure
from cli.up import _require_redis, greeting, make_plan, up

HERE = Address("127.0.0.1", 8000)


def test_without_settings_both_servers_are_embedded(tmp_path: Path) -> None:
    environment = make_plan(tmp_path, HERE, {"PATH": "/bin"}).environment
    assert environment["DATABASE_URL"] == f"sqlite+aiosqlite:///{tmp_path}/pinion.db"
    assert environment["REDIS_URL"] == f"unix://{tmp_path}/valkey.sock"
    assert environment["PATH"] == "/bin"


@pytest.mark.parametrize("setting", ["DATABASE_URL", "REDIS_URL"])
def test_each_server_that_is_set_is_used_as_it_is_and_the_other_embedded(tmp_path: Path, setting: str) -> None:
    plan = make_plan(tmp_path, HERE, {setting: "scheme://server"})
    assert plan.environment[setting] == "scheme://server"
    assert (plan.database is None, plan.socket is None) == (setting == "DATABASE_URL", setting == "REDIS_URL")


def test_the_services_are_told_where_and_with_which_token(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, Address("0.0.0.0", 9000), {"PINION_HOME": "elsewhere", "PINION_PORT": "0"})
    assert plan.environment["PINION_HOME"] == str(tmp_path)
    assert plan.environment["PINION_HOST"] == "0.0.0.0"
    assert plan.environment["PINION_PORT"] == "9000"
    assert plan.environment["PINION_API_TOKEN"] == plan.token == home.stored_token(tmp_path)


def test_a_set_token_is_used_and_none_is_made(tmp_path: Path) -> None:
    assert make_plan(tmp_path, HERE, {"PINION_API_TOKEN": "r8_mine"}).token == "r8_mine"
    assert home.stored_token(tmp_path) is None


def test_three_things_are_said_and_the_request_can_be_pasted(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, Address("0.0.0.0", 9000), {"PINION_API_TOKEN": "r8_mine=="})
    running, token, invitation, request = greeting(plan).splitlines()
    assert running == "Pinion is running at http://127.0.0.1:9000"
    assert token == "API token: r8_mine=="
    assert invitation == "Try it:"
    words = shlex.split(request)
    assert words[0] == "curl"
    assert "Authorization: Bearer r8_mine==" in words
    assert '{"version":"pinion/tiny-t5","input":{"prompt":"spell: 4217"}}' in words
    assert words[-1] == "http://127.0.0.1:9000/v1/predictions"


def test_a_taken_port_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINION_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("PINION_PORT", str(other.getsockname()[1]))
        with pytest.raises(Failure, match="is taken"):
            up(is_verbose=False)
    assert not (tmp_path / "token").exists()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    writer.close()


async def test_a_redis_that_is_none_is_told_in_a_sentence_without_its_password() -> None:
    async with await asyncio.start_server(_hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        for url in (f"redis://:secret@127.0.0.1:{port}", "redis://:secret@127.0.0.1:1", "unix:///nowhere.sock", "what"):
            with pytest.raises(Failure, match=r"REDIS_URL .* does not answer as Redis does .*: start that") as failure:
                await _require_redis(url)
            assert "secret" not in str(failure.value)
