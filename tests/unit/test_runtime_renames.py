"""What is renamed from one disk to another arrives whole, and is gone from where it was."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

from pinion_runtime import renames

Rename = Callable[..., None]


@pytest.fixture
def rename() -> Rename:
    return renames._across(os.rename)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("this machine has no second disk at /dev/shm")
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def test_a_file_replaces_what_was_there(rename: Rename, elsewhere: Path, tmp_path: Path) -> None:
    (elsewhere / "made").write_text("new")
    (elsewhere / "made").chmod(0o640)
    (tmp_path / "final").write_text("old")
    with pytest.raises(OSError, match="cross-device") as refused:
        os.rename(elsewhere / "made", tmp_path / "final")
    assert refused.value.errno == errno.EXDEV
    rename(src=elsewhere / "made", dst=str(tmp_path / "final"))
    assert ((tmp_path / "final").read_text(), (tmp_path / "final").stat().st_mode & 0o777) == ("new", 0o640)
    assert (list(elsewhere.iterdir()), list(tmp_path.iterdir())) == ([], [tmp_path / "final"])


def test_a_folder_keeps_its_links(rename: Rename, elsewhere: Path, tmp_path: Path) -> None:
    (elsewhere / "made" / "deep").mkdir(parents=True)
    (elsewhere / "made" / "deep" / "a").write_text("a")
    (elsewhere / "made" / "link").symlink_to("deep/a")
    rename(elsewhere / "made", tmp_path / "final")
    assert (tmp_path / "final" / "link").readlink() == Path("deep/a")
    assert (tmp_path / "final" / "link").read_text() == "a"
    assert list(elsewhere.iterdir()) == []


def test_what_the_system_refuses_for_another_reason_is_refused(rename: Rename, elsewhere: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        rename(elsewhere / "nothing", tmp_path / "final")
    (elsewhere / "made").write_text("new")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "of").touch()
    with pytest.raises(OSError, match="directory"):
        rename(elsewhere / "made", tmp_path / "full")
    assert (elsewhere / "made").read_text() == "new"
    assert list(tmp_path.iterdir()) == [tmp_path / "full"]
