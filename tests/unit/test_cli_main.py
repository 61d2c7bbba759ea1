"""The `pinion` command as a process: its help, its exit codes, its one-sentence errors.

No service is started.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.failure import explain
from cli.home import PROJECT

HEAVY = ("torch", "transformers", "fastapi", "sqlalchemy", "httpx", "alembic")


def pinion(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, capture_output=True, text=True)


def test_help_names_the_commands_and_loads_nothing_heavy() -> None:
    code = "import sys\nfrom cli.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    code += f"print(*set({HEAVY}) & set(sys.modules), file=sys.stderr, end='')"
    done = subprocess.run([sys.executable, "-c", code, "--help"], cwd=PROJECT, capture_output=True, text=True)
    assert done.stderr == ""
    for command in ("up", "push", "init", "doctor", "run", "migrate", "lint", "test", "version"):
        assert f" {command} " in done.stdout


def test_the_version_is_the_projects() -> None:
    assert f'version = "{pinion("version").stdout.strip()}"' in (PROJECT / "pyproject.toml").read_text()


def test_a_failure_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    done = pinion("push", str(tmp_path), "ada/echo")
    assert done.returncode == 1
    assert done.stderr.startswith(f"pinion: {tmp_path} has no cog.yaml: write one that names the predictor")
    assert done.stderr.count("\n") == 1


def test_a_data_folder_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = pinion("up", PINION_HOME=str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"pinion: {tmp_path}/file is not a folder: move it away, or choose")
    assert done.stderr.count("\n") == 1


def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    url = "postgresql://ada:secret@127.0.0.1:1/pinion"
    done = pinion("migrate", PINION_HOME=str(tmp_path), DATABASE_URL=url)
    assert done.returncode == 1
    assert "ada:***@127.0.0.1:1/pinion cannot be brought up to date" in done.stderr
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_setting_that_does_not_work_is_named_without_its_value(tmp_path: Path) -> None:
    done = pinion("migrate", PINION_HOME=str(tmp_path), PINION_LEASE_SECONDS="soon")
    assert done.returncode == 1
    assert done.stderr.startswith("pinion: PINION_LEASE_SECONDS does not work (")
    assert "soon" not in done.stderr


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            OSError(28, "No space left on device", "/data/token.new"),
            "The disk that holds /data/token.new is full: free",
        ),
        (OSError(28, "No space left on device"), "The disk is full: free"),
        (PermissionError(13, "Permission denied", "/data"), "/data may not be written: correct its owner"),
        (OSError(30, "Read-only file system", "/data"), "/data may not be written"),
        (OSError(5, "Input/output error", "/data"), "Input/output error: /data"),
    ],
)
def test_an_error_of_the_system_is_told_with_its_fix(error: OSError, sentence: str) -> None:
    assert explain(error).startswith(sentence)
