"""The data folder: its token and its lock.

No service is started.
"""

import json
import os
import re
import stat
from pathlib import Path

import pytest

from cli import home
from cli.failure import Failure


def test_the_folder_is_absolute_whatever_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert home.locate({"PINION_HOME": "data"}) == tmp_path / "data"
    assert home.locate({"PINION_HOME": "~/data"}) == Path("/home/ada/data")
    assert home.locate({}) == Path("/home/ada/.local/share/pinion")


def test_the_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    home.prepare(tmp_path / "a" / "data")
    assert stat.S_IMODE((tmp_path / "a" / "data").stat().st_mode) == 0o700


def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "_LEAST_FREE_BYTES", 2**62)
    with pytest.raises(Failure, match=rf"The disk that holds {tmp_path} is full \(\d+ MB free\): free some space"):
        home.prepare(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    token = home.obtain_token(tmp_path)
    assert re.fullmatch(r"r8_[0-9A-Za-z]{37}", token)
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert home.obtain_token(tmp_path) == token == home.stored_token(tmp_path)


def test_a_start_cut_short_leaves_no_half_token(tmp_path: Path) -> None:
    (tmp_path / "token.new").write_text("r8_half")
    (tmp_path / "token").write_text("")
    assert len(home.obtain_token(tmp_path)) == 40


def test_a_second_start_is_told_who_has_the_folder(tmp_path: Path) -> None:
    held = home.lock(tmp_path, "http://127.0.0.1:8000")
    try:
        with pytest.raises(Failure, match=rf"already runs .* http://127.0.0.1:8000 \(process {os.getpid()}\)"):
            home.lock(tmp_path, "http://127.0.0.1:8001")
    finally:
        os.close(held)
    os.close(home.lock(tmp_path, "http://127.0.0.1:8001"))
    assert home.stored_address(tmp_path) == "http://127.0.0.1:8001"


def test_a_start_waits_for_what_a_killed_one_left_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "_WIND_DOWN_SECONDS", 0.0)
    held = home.lock(tmp_path, "http://127.0.0.1:8000")
    os.pwrite(held, json.dumps({"pid": 2**22 + 1, "address": "http://127.0.0.1:8000"}).encode(), 0)  # nobody's number
    with pytest.raises(Failure, match="already runs"):
        home.lock(tmp_path, "http://127.0.0.1:8001")
    os.close(held)


def test_a_spoiled_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("nonsense")
    assert home.stored_address(tmp_path) is None
    os.close(home.lock(tmp_path, "http://127.0.0.1:8000"))
