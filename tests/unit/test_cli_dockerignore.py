"""Which files of a folder are a model's, and what is known of each.

Nothing is sent.
"""

import os
from pathlib import Path

import pytest

from cli.dockerignore import is_ignored, read_patterns
from cli.failure import Failure
from cli.inventory import Entry, list_files, take_inventory, total_size
from tests.unit.test_cli_model_folder import write


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
        ("./a//b/../c", ["a/c"], ["a/b"]),
        (r"a\*", ["a*"], ["ab"]),
        ("[^a].py", ["b.py"], ["a.py"]),
        (".", [], ["a"]),
    ],
)
def test_dockerignore_patterns_mean_what_they_mean_to_docker(pattern: str, ignored: list[str], kept: list[str]) -> None:
    patterns = read_patterns(f"\n  {pattern}  \n\n")
    assert [path for path in (*ignored, *kept) if is_ignored(path, patterns)] == ignored


def test_a_comment_begins_where_the_line_does() -> None:
    patterns = read_patterns("# a comment\n #kept\n")
    assert not is_ignored("# a comment", patterns)
    assert is_ignored("#kept", patterns)


def test_what_cog_reads_outside_of_the_image_is_sent_even_if_ignored(tmp_path: Path) -> None:
    write(tmp_path, "predict.py", "more/requirements.txt")
    (tmp_path / "cog.yaml").write_text("build: {python_requirements: more/requirements.txt}")
    (tmp_path / ".dockerignore").write_text("**\n!predict.py\n")
    assert list_files(tmp_path, print) == ["cog.yaml", "more/requirements.txt", "predict.py"]


def test_a_name_that_is_no_text_is_told_beforehand(tmp_path: Path) -> None:
    (tmp_path / "\udcff.bin").write_text("x")
    with pytest.raises(Failure, match="has a name that is no text"):
        total_size(tmp_path, list_files(tmp_path, print))


def inventory(folder: Path, memory: Path, read: list[int]) -> list[Entry]:
    return take_inventory(folder, list_files(folder, print), memory, read.append)


def test_a_link_to_a_file_counts_as_the_file(tmp_path: Path) -> None:
    write(tmp_path, "model/a/blob")
    (tmp_path / "model" / "weights.bin").symlink_to("a/blob")
    [_, weights] = inventory(tmp_path / "model", tmp_path / "memory.db", [])
    assert (weights.path, weights.size) == ("weights.bin", len("model/a/blob"))


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "model/a")
    os.utime(tmp_path / "model" / "a", (1, 1))
    [first] = inventory(tmp_path / "model", tmp_path / "memory.db", [])
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.sha256", None)
        assert inventory(tmp_path / "model", tmp_path / "memory.db", []) == [first]
    (tmp_path / "model" / "a").write_text("model/b")
    [second] = inventory(tmp_path / "model", tmp_path / "memory.db", [])
    assert second.sha256 != first.sha256


def test_a_memory_that_is_damaged_costs_time_only(tmp_path: Path) -> None:
    write(tmp_path, "model/a")
    (tmp_path / "memory.db").write_text("no database")
    assert len(inventory(tmp_path / "model", tmp_path / "memory.db", [])) == 1


def test_an_executable_file_is_known_as_one(tmp_path: Path) -> None:
    write(tmp_path, "model/a", "model/b")
    (tmp_path / "model" / "a").chmod(0o755)
    assert [entry.executable for entry in inventory(tmp_path / "model", tmp_path / "memory.db", [])] == [True, False]
