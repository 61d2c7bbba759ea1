"""When a start may skip the migrations.

The migrations themselves are run against real databases elsewhere.
"""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from cli.home import PROJECT
from cli.migrate import is_current, newest_revision

VERSIONS = PROJECT / "migrations" / "versions"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """As `migrate` leaves one: at the newest revision, knowing one token."""
    path = tmp_path / "pinion.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (newest_revision(VERSIONS),))
        connection.execute("CREATE TABLE tokens (digest TEXT)")
        connection.execute("INSERT INTO tokens VALUES (?)", (sha256(b"r8_known").hexdigest(),))
        connection.commit()
    return path


def test_the_newest_revision_is_the_one_alembic_names() -> None:
    assert newest_revision(VERSIONS) == ScriptDirectory.from_config(Config(PROJECT / "alembic.ini")).get_current_head()


def test_the_newest_revision_is_the_one_nothing_builds_upon(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("revision: str = 'a'\ndown_revision: str | None = None\n")
    (tmp_path / "b.py").write_text('revision = "b"\ndown_revision = "a"\n')
    assert newest_revision(tmp_path) == "b"
    (tmp_path / "c.py").write_text("revision = 'c'\ndown_revision = 'a'\n")
    assert newest_revision(tmp_path) is None
    (tmp_path / "d.py").write_text("revision = 'd'\ndown_revision = ('b', 'c')\n")
    assert newest_revision(tmp_path) == "d"


def test_an_up_to_date_database_that_knows_the_token_needs_nothing(database: Path) -> None:
    assert is_current(database, "r8_known")


def test_an_unknown_token_has_to_be_stored(database: Path) -> None:
    assert not is_current(database, "r8_unknown")


@pytest.mark.parametrize("statement", ["UPDATE alembic_version SET version_num = 'older'", "DROP TABLE tokens"])
def test_an_older_database_has_to_be_migrated(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()
    assert not is_current(database, "r8_known")


def test_a_missing_or_spoiled_database_is_left_to_the_migrations(tmp_path: Path) -> None:
    assert not is_current(tmp_path / "none.db", "r8_known")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "spoiled.db").write_text("nonsense" * 100)
    assert not is_current(tmp_path / "spoiled.db", "r8_known")
