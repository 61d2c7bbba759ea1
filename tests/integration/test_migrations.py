"""The migrations make exactly the tables the code speaks of, and can be taken back."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.database_fixtures import BACKENDS, PROJECT, alembic
from tests.servers import fresh_postgres


@pytest.fixture(params=BACKENDS)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "embedded":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    with fresh_postgres(f"pinion_migrations_{os.getpid()}") as url:
        yield url


def test_after_the_upgrade_nothing_is_left_to_migrate(empty_database: str, tmp_path: Path) -> None:
    alembic("upgrade", empty_database, tmp_path, "head")
    alembic("check", empty_database, tmp_path)


def test_all_migrations_can_be_taken_back_and_applied_again(empty_database: str, tmp_path: Path) -> None:
    alembic("upgrade", empty_database, tmp_path, "head")
    alembic("downgrade", empty_database, tmp_path, "base")
    alembic("upgrade", empty_database, tmp_path, "head")
    alembic("check", empty_database, tmp_path)


def test_upgrading_twice_changes_nothing(empty_database: str, tmp_path: Path) -> None:
    alembic("upgrade", empty_database, tmp_path, "head")
    alembic("upgrade", empty_database, tmp_path, "head")
    alembic("check", empty_database, tmp_path)


def test_no_two_migrations_claim_to_be_the_newest() -> None:
    assert len(ScriptDirectory.from_config(Config(PROJECT / "alembic.ini")).get_heads()) == 1


def test_an_output_that_is_a_number_becomes_a_text_and_all_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0007")
    with closing(sqlite3.connect(file, isolation_level=None)) as old:
        _insert_predictions(old, "0.5", "12", '"text"', '{"a": 1.0}', None)
        indexes = _declared(old, "index")
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0008")
    with closing(sqlite3.connect(file, isolation_level=None)) as new:
        outputs = new.execute("SELECT output FROM predictions ORDER BY id").fetchall()
        assert outputs == [("0.5",), ("12",), ('"text"',), ('{"a": 1.0}',), (None,)]
        assert indexes <= _declared(new, "index")
        assert new.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert new.execute("PRAGMA foreign_key_check").fetchall() == []
        assert {row[2] for row in new.execute("PRAGMA foreign_key_list(files)")} == {"accounts", "predictions"}


def test_tables_of_a_newer_release_stay_when_it_is_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "newer.db"
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "head")
    with closing(sqlite3.connect(file, isolation_level=None)) as newer:
        newer.execute("ALTER TABLE accounts ADD COLUMN mood TEXT")
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        tables = _declared(newer, "table")
    given = {**os.environ, "DATABASE_URL": f"sqlite:///{file}", "PINION_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "cli", "migrate"]
    done = subprocess.run(command, cwd=PROJECT, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "by a newer release" in done.stderr
    with closing(sqlite3.connect(file)) as same:
        assert _declared(same, "table") == tables
        assert same.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]
        assert same.execute("SELECT username FROM accounts").fetchall() == [("pinion",)]


def _declared(database: sqlite3.Connection, kind: str) -> set[tuple[str, str]]:
    return set(database.execute("SELECT name, sql FROM sqlite_schema WHERE type = ?", (kind,)))


def _insert_predictions(database: sqlite3.Connection, *outputs: str | None) -> None:
    """One with each output, and a file of it; of the columns that must not be empty, all others hold a text."""
    rows = {"accounts": {"id": "a"}, "models": {"id": "m", "account_id": "a"}, "versions": {"id": "v", "model_id": "m"}}
    for table, row in rows.items():
        _insert(database, table, row)
    for number, output in enumerate(outputs):
        named = {"id": str(number), "account_id": "a"}
        _insert(database, "predictions", {**named, "version_id": "v", "output": output})
        _insert(database, "files", {**named, "prediction_id": str(number)})


def _insert(database: sqlite3.Connection, table: str, row: dict[str, str | bytes | None]) -> None:
    needed = [name for _, name, _, is_needed, _, _ in database.execute(f"PRAGMA table_info({table})") if is_needed]
    values = {**dict.fromkeys(needed, "{}"), **row}
    places = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))


def test_secrets_that_were_given_before_are_known_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0014")
    secret, text = {"type": "string", "x-cog-secret": True}, {"type": "string"}
    components = {
        "Input": {"properties": {"key": secret, "keys": {"type": "array", "items": secret}, "text": text}},
        "TrainingInput": {"properties": {"password": secret}},
    }
    with closing(sqlite3.connect(file, isolation_level=None)) as old:
        _insert_predictions(old, None)
        _insert(old, "versions", {"id": "w", "model_id": "m", "openapi_schema": None})
        schema = json.dumps({"components": {"schemas": components}})
        old.execute("UPDATE versions SET openapi_schema = ? WHERE id = 'v'", (schema,))
        named = {"account_id": "a", "kind": "training"}
        _insert(old, "predictions", {**named, "id": "1", "version_id": "v"})
        _insert(old, "predictions", {**named, "id": "2", "version_id": "w"})
        old.execute("UPDATE predictions SET kind = 'prediction' WHERE id = '0'")
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0015")
    with closing(sqlite3.connect(file, isolation_level=None)) as new:
        found = new.execute("SELECT secret_inputs FROM predictions ORDER BY id").fetchall()
    assert [names and json.loads(names) for (names,) in found] == [["key", "keys"], ["password"], None]


def test_webhook_bodies_from_before_secrets_were_masked_hold_none_afterwards(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0015")
    given = {"key": "sesame", "keys": ["abracadabra", None], "none": None, "text": "schön"}
    body = json.dumps({"id": "0", "input": given, "output": "hi"}).encode()
    with closing(sqlite3.connect(file, isolation_level=None)) as old:
        _insert_predictions(old, None, None)
        old.execute("UPDATE predictions SET secret_inputs = ? WHERE id = '0'", (json.dumps(["key", "keys", "none"]),))
        old.execute("UPDATE predictions SET secret_inputs = NULL WHERE id = '1'")
        for name, prediction_id, told in (("m0", "0", body), ("m1", "1", body), ("m2", "0", b"")):
            named = {"account_id": "a", "prediction_id": prediction_id, "body": told}
            _insert(old, "webhook_messages", {**named, "id": name})
    alembic("upgrade", f"sqlite:///{file}", tmp_path, "0018")
    with closing(sqlite3.connect(file, isolation_level=None)) as new:
        bodies = dict(new.execute("SELECT id, body FROM webhook_messages"))
        assert new.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    masked = {"key": "*" * 10, "keys": ["*" * 10, None], "none": None, "text": "schön"}
    assert json.loads(bodies["m0"]) == {"id": "0", "input": masked, "output": "hi"}
    assert [bodies["m1"], bodies["m2"]] == [body, b""]
