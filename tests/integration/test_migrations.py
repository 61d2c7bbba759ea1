"""The migrations make exactly the tables the code speaks of, and can be taken back."""

import os
from collections.abc import Iterator
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
