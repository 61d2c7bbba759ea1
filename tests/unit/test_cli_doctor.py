"""`pinion init` and `pinion doctor`: what they write and say on this machine.

No service is started; a pushed one is looked at in the acceptance tests.
"""

import socket
from pathlib import Path

import pytest

from cli import doctor as room
from cli.doctor import doctor, examine
from cli.failure import Failure
from cli.init import init
from shared.isolation import Level, find_obstacle
from worker.manifest import read_manifest


@pytest.fixture(autouse=True)
def neutral(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "PINION_HOST", "PINION_ISOLATION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PINION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PINION_PORT", "0")


def line(about: str) -> tuple[str, str]:
    """Mark and text of what was found about something."""
    [found] = [finding for finding in examine() if finding.about == about]
    return found.mark, f"{found.found} → {found.fix}"


def test_a_model_is_begun_with_a_manifest_that_works(tmp_path: Path) -> None:
    init(tmp_path / "model")
    assert read_manifest(tmp_path / "model").reference == "predict.py:Predictor"
    assert (tmp_path / "model" / ".dockerignore").exists()


@pytest.mark.parametrize("name", ["cog.yaml", "predict.py", ".dockerignore"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(Failure, match="is there already: choose another folder"):
        init(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_every_line_is_well_on_a_machine_that_runs_these_tests(capsys: pytest.CaptureFixture[str]) -> None:
    doctor()
    lines = capsys.readouterr().out.splitlines()
    assert [text.split()[1] for text in lines[:1]] == ["Python"]
    assert all(text.startswith(("OK  ", "WARN")) for text in lines)
    assert len(lines) == len(list(examine()))


def test_a_port_that_is_taken_is_said_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PINION_PORT", str(taken.getsockname()[1]))
        mark, text = line("Port")
    assert mark == "FAIL"
    assert "is taken by" in text
    assert "PINION_PORT=" in text


def test_a_server_that_does_not_answer_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:secret@127.0.0.1:1/pinion")
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1")
    for about, setting in (("Database", "DATABASE_URL"), ("Redis", "REDIS_URL")):
        mark, text = line(about)
        assert mark == "FAIL"
        assert "nothing answers at 127.0.0.1:1" in text
        assert setting in text
        assert "secret" not in text


def test_too_little_room_for_models_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_LEAST_FREE_BYTES", 1 << 60)
    mark, text = line("Data folder")
    assert mark == "WARN"
    assert "PINION_HOME=" in text


def test_missing_libraries_are_a_warning_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    assert line("torch")[0] == "WARN"
    assert "./pinion up" in line("transformers")[1]


def test_what_keeps_pinion_from_working_makes_the_command_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(Failure, match="keeps Pinion from working: Redis"):
        doctor()


def test_what_models_run_in_is_said_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mark, text = line("Isolation")
    if obstacle := find_obstacle(Level.VEIL):
        assert (mark, obstacle in text, "can read PINION_HOME" in text) == ("WARN", True, True)
    else:
        assert (mark, "behind a veil that hides PINION_HOME" in text) == ("OK", True)
    assert "there is no second account" in text
    monkeypatch.setenv("PINION_ISOLATION", "process")
    assert line("Isolation")[1].startswith("models run as processes of this user: PINION_ISOLATION=process")
    assert not (tmp_path / "home").exists()


def test_a_sandbox_that_cannot_be_had_is_said_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PINION_ISOLATION", "sandbox")
    mark, text = line("Isolation")
    assert mark == "FAIL"
    assert "bubblewrap (bwrap) is not installed" in text
    assert "docs/security.md" in text


def test_a_second_account_asks_for_sandboxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_accounts", lambda url: 2)
    mark, text = line("Isolation")
    assert (mark, "there are 2 accounts" in text) == ("OK" if find_obstacle(Level.SANDBOX) is None else "WARN", True)


def test_a_bubblewrap_that_may_make_no_namespaces_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    said = "bubblewrap may not make namespaces here (No permissions to create new namespace)"
    assert [find_obstacle(level) for level in (Level.VEIL, Level.SANDBOX)] == [said, said]
    assert line("Isolation")[0] == "WARN"
