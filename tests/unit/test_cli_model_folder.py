"""Which files of a folder are a model's, and what becomes of its links."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.failure import Failure
from cli.model_folder import files_of


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def look(folder: Path) -> tuple[list[str], list[str]]:
    """The files and the remarks."""
    remarks: list[str] = []
    return files_of(folder, remarks.append), remarks


def test_what_is_never_part_of_a_model_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "cog.yaml", ".git/HEAD", "a/__pycache__/b.pyc", ".venv/bin/python", "a/b.py", ".gitignore")
    assert look(tmp_path) == ([".gitignore", "a/b.py", "cog.yaml"], [])


def test_a_virtual_environment_is_left_out_whatever_its_name(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "my env"], check=True)
    write(tmp_path, "cog.yaml")
    (tmp_path / "python").symlink_to("my env/lib")
    assert look(tmp_path) == (["cog.yaml"], ["python is a link to what is not sent: left out."])


def test_a_later_line_takes_back_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, "weights/a.bin", "weights/b.bin", "cog.yaml")
    (tmp_path / ".dockerignore").write_text(".dockerignore\nweights\n!weights/b.bin\n")
    assert look(tmp_path) == (["cog.yaml", "weights/b.bin"], [])


def test_a_link_to_a_folder_of_the_model_counts_as_what_is_in_there(tmp_path: Path) -> None:
    write(tmp_path, "models/v1/a.bin", "models/v1/more/b.bin")
    (tmp_path / "models" / "latest").symlink_to("v1")
    (tmp_path / "best").symlink_to(tmp_path / "models" / "latest")
    inner = ["a.bin", "more/b.bin"]
    expected = [f"{name}/{path}" for name in ("best", "models/latest", "models/v1") for path in inner]
    assert look(tmp_path) == (expected, [])


def test_links_that_go_round_in_circles_end(tmp_path: Path) -> None:
    write(tmp_path, "a/file", "b/file")
    (tmp_path / "a" / "b").symlink_to("../b")
    (tmp_path / "b" / "a").symlink_to("../a")
    (tmp_path / "itself").symlink_to(".")
    (tmp_path / "knot").symlink_to("knot")
    files, remarks = look(tmp_path)
    assert files == ["a/b/file", "a/file", "b/a/file", "b/file"]
    assert sorted(remarks) == [
        "a/b/a is a link to a folder that it lies in: left out.",
        "b/a/b is a link to a folder that it lies in: left out.",
        "itself is a link to a folder that it lies in: left out.",
        "knot is a link to nowhere: left out.",
    ]


def test_links_that_multiply_end_too(tmp_path: Path) -> None:
    write(tmp_path, *(f"8/file{number}" for number in range(500)))
    for number in range(8):
        for name in ("a", "b"):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            (tmp_path / str(number) / name).symlink_to(f"../{number + 1}")
    with pytest.raises(Failure, match="has more than 100000 files"):
        look(tmp_path)


def test_links_that_lead_nowhere_or_elsewhere_are_left_out_and_told(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a", "model/cog.yaml")
    (tmp_path / "model" / "gone.bin").symlink_to("gone")
    (tmp_path / "model" / "weights").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "model" / "file").symlink_to(tmp_path / "elsewhere" / "a")
    files, remarks = look(tmp_path / "model")
    assert files == ["cog.yaml"]
    assert sorted(remarks) == [
        "file is a link that leads out of the folder: left out.",
        "gone.bin is a link to nowhere: left out.",
        "weights is a link that leads out of the folder: left out.",
    ]


def test_links_to_files_elsewhere_are_followed_where_they_are_meant(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a", "model/cog.yaml")
    (tmp_path / "model" / "file").symlink_to(tmp_path / "elsewhere" / "a")
    assert files_of(tmp_path / "model", print, may_lead_out=True) == ["cog.yaml", "file"]


def test_a_link_to_a_file_of_the_model_is_sent_as_that_file_unless_it_is_ignored(tmp_path: Path) -> None:
    write(tmp_path, "v1/model.bin", "secrets/key", ".git/config")
    (tmp_path / "model.bin").symlink_to("v1/model.bin")
    (tmp_path / "latest.bin").symlink_to("model.bin")
    (tmp_path / "key").symlink_to("secrets/key")
    (tmp_path / "config").symlink_to(".git/config")
    (tmp_path / ".dockerignore").write_text(".dockerignore\nsecrets\n")
    files, remarks = look(tmp_path)
    assert files == ["latest.bin", "model.bin", "v1/model.bin"]
    assert remarks == [f"{name} is a link to what is not sent: left out." for name in ("config", "key")]


def test_what_is_ignored_is_not_sent_by_way_of_a_link_either(tmp_path: Path) -> None:
    write(tmp_path, "cog.yaml", "data/a", "v1/secret", "v1/kept")
    (tmp_path / "raw").symlink_to("data")
    (tmp_path / "latest").symlink_to("v1")
    (tmp_path / "ignored").symlink_to("v1")
    (tmp_path / ".dockerignore").write_text(".dockerignore\ndata\nv1/secret\nignored\ngone\n")
    (tmp_path / "gone").symlink_to("nothing")
    files, remarks = look(tmp_path)
    assert files == ["cog.yaml", "latest/kept", "v1/kept"]
    assert remarks == ["raw is a link to what is not sent: left out."]


def test_below_an_ignored_folder_a_link_to_a_folder_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a", "model/cog.yaml", "model/data/b")
    (tmp_path / "model" / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "model" / ".dockerignore").write_text("data\n")
    assert look(tmp_path / "model") == ([".dockerignore", "cog.yaml"], [])
