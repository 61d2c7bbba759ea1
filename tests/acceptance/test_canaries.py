"""Secrets that were given to a whole Pinion stand afterwards in none of the places where somebody could look.

Each search has its own proof that it can find something: what is no secret is found where it may stand.
"""

import asyncio
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from tests.instance import TERMINAL, Api, Instance
from tests.receiver import Receiver, receiving

KEPT_BY_DESIGN = ("token", "encryption-key")
"""Files of the home that hold a secret each, and nothing else."""


@dataclass
class Canaries:
    """What no place may show, by what it is; and a text that is no secret."""

    token: str
    webhook_secret: str
    secret_input: str = field(default_factory=lambda: f"canary-input-{secrets.token_hex(8)}")
    secret_item: str = field(default_factory=lambda: f"canary-item-{secrets.token_hex(8)}")
    webhook_password: str = field(default_factory=lambda: f"canary-password-{secrets.token_hex(8)}")
    webhook_key: str = field(default_factory=lambda: f"canary-key-{secrets.token_hex(8)}")
    wrong_token: str = field(default_factory=lambda: f"r8_canary{secrets.token_hex(8)}")
    no_secret: str = field(default_factory=lambda: f"canary-text-{secrets.token_hex(8)}")

    def found_in(self, text: str, *, but: tuple[str, ...] = ()) -> list[str]:
        """The names of the secrets that a text shows; those in `but` may stand there."""
        names = [name for name in vars(self) if name != "no_secret" and name not in but]
        return [name for name in names if getattr(self, name) in text]


@pytest.fixture(scope="module")
def canaries(instance: Instance) -> Canaries:
    with Api(instance) as api:
        return Canaries(instance.token, api.get("/webhooks/default/secret").json()["key"])


@pytest.fixture(scope="module")
def answers(instance: Instance, canaries: Canaries) -> list[str]:
    """What was answered and sent after the secrets had gone every way they can go."""
    with Api(instance) as api, receiving() as receiver:
        return sent_everywhere(instance, api, receiver, canaries)


def sent_everywhere(instance: Instance, api: Api, receiver: Receiver, canaries: Canaries) -> list[str]:
    url = receiver.url.replace("://", f"://user:{canaries.webhook_password}@") + f"?key={canaries.webhook_key}"
    wanted = {"webhook": url, "webhook_events_filter": ["completed"]}
    given = {"password": canaries.secret_input, "others": [canaries.secret_item]}
    ended = []
    for predictor, more in (
        ("reverses_secrets", {"text": canaries.no_secret}),
        ("tells_its_secret", {"how": "in the text"}),
        ("tells_its_secret", {"how": "as the cause"}),
        ("tells_its_secret", {"how": "as a text"}),
    ):
        made = api.create(instance.model(predictor), more=wanted, **given, **more)
        ended.append(api.until_status(made["id"], *TERMINAL))
    told = receiver.wait_for(lambda came: len({each.json["id"] for each in came}) == len(ended))
    messages = api.get("/webhooks/messages").json()["results"]
    return [
        *(str({**row, "webhook": None}) for row in ended),
        *(str({**each.json, "webhook": None}) for each in told),
        str(messages),
        *(answer.text for answer in refused(instance, api, canaries)),
        instance.command("ps", "--logs", "--json").stdout,
        instance.command("webhook", "list").stdout,
        instance.command("token", "list").stdout,
    ]


def refused(instance: Instance, api: Api, canaries: Canaries) -> Iterator[httpx.Response]:
    """Answers to requests that hold secrets where they are wrong."""
    version = instance.model("reverses_secrets")
    wrong: list[dict[str, Any]] = [
        {"version": version, "input": {"password": [canaries.secret_input], "others": canaries.secret_item}},
        {"version": version, "input": {"password": {canaries.secret_input: 1}}},
        {"version": version, "input": canaries.secret_input},
        {"version": canaries.secret_input, "input": {}},
        {"version": version, "input": {"password": "x"}, "webhook": f"ftp://a:{canaries.webhook_password}@b"},
        {"version": version, "input": {"password": "x"}, "webhook": canaries.webhook_password},
    ]
    for body in wrong:
        answer = api.post("/predictions", json=body)
        assert answer.status_code == 422, answer.text
        yield answer
    yield api.post("/predictions", content=f'{{"input": "{canaries.secret_input}')
    for path in ("/predictions", "/webhooks/default/secret", f"/predictions/{canaries.secret_input}"):
        answer = api.get(path, headers={"Authorization": f"Bearer {canaries.wrong_token}"})
        assert answer.status_code == 401, answer.text
        yield answer


def files(home: Path) -> dict[str, str]:
    """All that Pinion keeps on the disk, as text; what is gone by then is nothing to be found."""
    found = {}
    for path in home.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in KEPT_BY_DESIGN:
            found[str(path.relative_to(home))] = path.read_bytes().decode(errors="replace")
    return found


def rows(instance: Instance) -> str:
    """Every row of every table."""
    if url := instance.settings.get("DATABASE_URL"):
        return asyncio.run(_rows_of_postgres(url))
    with closing(sqlite3.connect(instance.home / "pinion.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        return str([database.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables])


async def _rows_of_postgres(url: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return str([await connection.fetch(f'SELECT * FROM "{table["tablename"]}"') for table in tables])
    finally:
        await connection.close()


def entries(instance: Instance) -> str:
    """Every key of Redis with all that it holds."""
    readers = {b"string": "get {}", b"list": "lrange {} 0 -1", b"set": "smembers {}", b"hash": "hgetall {}"}
    readers |= {b"zset": "zrange {} 0 -1 withscores", b"stream": "xrange {} - +"}
    with instance.redis() as redis:
        found = []
        for key in redis.scan_iter():
            command, *more = readers.get(redis.type(key), "type {}").split()
            found.append((key, redis.execute_command(command, *(key if part == "{}" else part for part in more))))
        return str(found)


def test_no_secret_is_shown_in_answers_errors_and_webhooks(answers: list[str], canaries: Canaries):
    assert any(canaries.no_secret in answer for answer in answers)
    assert [(canaries.found_in(answer), answer) for answer in answers if canaries.found_in(answer)] == []


def test_no_secret_stands_in_a_log_or_in_any_other_file(instance: Instance, answers: list[str], canaries: Canaries):
    found = files(instance.home)
    assert [name for name in found if name.startswith("logs/") and found[name]]
    # Of webhooks the whole address is kept, for their owner.
    kept = {name: ("webhook_password", "webhook_key") if name.startswith("pinion.db") else () for name in found}
    shown = {name: canaries.found_in(text, but=kept[name]) for name, text in found.items()}
    assert {name: secrets for name, secrets in shown.items() if secrets} == {}
    assert not [name for name in found if name.startswith("logs/") and canaries.no_secret in found[name]]


def test_no_secret_stands_in_the_database(instance: Instance, answers: list[str], canaries: Canaries):
    text = rows(instance)
    assert canaries.no_secret in text
    assert canaries.found_in(text, but=("webhook_password", "webhook_key")) == []


def test_no_secret_stands_in_redis(instance: Instance, answers: list[str], canaries: Canaries):
    text = entries(instance)
    assert "pinion:versions" in text
    assert canaries.found_in(text) == []


def test_no_secret_stands_in_metrics(instance: Instance, api: Api, answers: list[str], canaries: Canaries):
    metrics = httpx.get(f"{instance.address}/metrics", headers=api.headers).text
    assert "reverses_secrets" in metrics
    assert canaries.found_in(metrics) == []


def test_no_secret_stands_in_the_list_of_processes(instance: Instance, answers: list[str], canaries: Canaries):
    processes = instance.processes()
    commands = str([process.cmdline() for process in processes])
    assert "pinion_runtime/main.py" in commands
    assert canaries.found_in(commands) == []
    for process in instance.processes("model"):
        environment = str(_environment(process))
        assert "PATH" in environment
        assert canaries.found_in(environment) == []
        assert "DATABASE_URL" not in environment
        assert "PINION_ENCRYPTION_KEY" not in environment


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.NoSuchProcess:  # ended meanwhile, and another one is there
        return {"PATH": ""}
