"""Packing a model's folder.

Nothing is sent.
"""

import io
import os
import tarfile
from pathlib import Path

import pytest

from cli.failure import Failure
from cli.packing import files_of, is_ignored, pack, read_patterns


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def test_what_is_never_part_of_a_model_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, "cog.yaml", ".git/HEAD", "a/__pycache__/b.pyc", ".venv/bin/python", "a/b.py", ".gitignore")
    assert files_of(tmp_path) == [".gitignore", "a/b.py", "cog.yaml"]


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("data", ["data", "data/a/b.bin"], ["data.py", "a/data"]),
        ("/data/", ["data/a"], ["a/data"]),
        ("*.log", ["a.log"], ["a/b.log", "log"]),
        ("**/*.log", ["a.log", "a/b.log", "a/b/c.log"], ["a.log.txt"]),
        ("a/*/c", ["a/b/c", "a/b/c/d"], ["a/c", "a/b/b/c"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b"]),
        ("checkpoint-?", ["checkpoint-1"], ["checkpoint-10", "checkpoint-"]),
        ("[ab].py", ["a.py", "b.py"], ["c.py"]),
        ("a.b", ["a.b"], ["acb"]),
        ("# a comment", [], ["# a comment"]),
    ],
)
def test_dockerignore_patterns_mean_what_they_mean_to_docker(pattern: str, ignored: list[str], kept: list[str]) -> None:
    patterns = read_patterns(f"\n  {pattern}  \n\n")
    assert [path for path in (*ignored, *kept) if is_ignored(path, patterns)] == ignored


def test_a_later_line_takes_back_an_earlier_one(tmp_path: Path) -> None:
    write(tmp_path, "weights/a.bin", "weights/b.bin", "cog.yaml")
    (tmp_path / ".dockerignore").write_text(".dockerignore\nweights\n!weights/b.bin\n")
    assert files_of(tmp_path) == ["cog.yaml", "weights/b.bin"]


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    archives = []
    for name, moment in (("one", 1), ("two", 2)):
        write(tmp_path / name, "cog.yaml", "a/b.py")
        os.utime(tmp_path / name / "cog.yaml", (moment, moment))
        archive = io.BytesIO()
        pack(tmp_path / name, archive)
        archives.append(archive.getvalue())
    assert archives[0] == archives[1]


def test_a_link_to_a_file_is_packed_as_the_file(tmp_path: Path) -> None:
    write(tmp_path, "cache/blob", "model/cog.yaml")
    (tmp_path / "model" / "weights.bin").symlink_to(tmp_path / "cache" / "blob")
    archive = io.BytesIO()
    pack(tmp_path / "model", archive)
    archive.seek(0)
    with tarfile.open(fileobj=archive) as packed:
        weights = packed.extractfile("weights.bin")
        assert weights is not None
        assert weights.read() == b"cache/blob"


def test_a_link_to_a_folder_is_refused_instead_of_left_out(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/a", "model/cog.yaml")
    (tmp_path / "model" / "weights").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure, match="weights is a link to a folder"):
        files_of(tmp_path / "model")
