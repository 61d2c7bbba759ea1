"""What a model wants installed, read from cog.yaml and requirements files.

Nothing is installed.
"""

from pathlib import Path

import pytest

from worker.events import SetupFailed
from worker.manifest import Build
from worker.requirements import Requirements, read_requirements


def packages(*lines: str) -> Requirements:
    return read_requirements(Build(python_packages=list(lines)), Path("/nowhere"))


def requirements(folder: Path, text: str) -> Requirements:
    (folder / "requirements.txt").write_text(text)
    return read_requirements(Build(python_requirements="requirements.txt"), folder)


def test_packages_and_a_file_that_say_the_same_are_the_same(tmp_path: Path) -> None:
    from_file = requirements(tmp_path, "# a comment\nnumpy==1.26  # why\n\n  torch \\\n  ==2.0\n")
    assert [line.replace(" ", "") for line in from_file.lines] == ["numpy==1.26", "torch==2.0"]
    assert packages("numpy==1.26").lines == requirements(tmp_path, "numpy==1.26\n").lines


def test_options_are_passed_on_and_those_behind_a_name_get_a_line_of_their_own() -> None:
    inline = packages("torch==2.0.1 --extra-index-url=https://wheels.example/cu118", "numpy")
    assert inline.lines == ["torch==2.0.1", "--extra-index-url=https://wheels.example/cu118", "numpy"]


def test_where_packages_come_from_is_known_apart_from_what_is_wanted() -> None:
    lines = ["--no-index", "-f /wheels", "--extra-index-url https://a.example", "numpy", "-c limits.txt", "-e ."]
    assert packages(*lines).sources == lines[:3]


@pytest.mark.parametrize("line", ["cog", "cog==0.9.4", "Cog>=0.9", "cog @ https://example.com/a.whl", "coglet==0.23.1"])
def test_cog_itself_is_left_out_with_a_word(line: str) -> None:
    found = packages("numpy", line)
    assert found.lines == ["numpy"]
    assert found.remarks == [f"{line} is left out: Pinion brings a cog module of its own."]


def test_packages_whose_names_begin_alike_stay() -> None:
    assert packages("cognitive==1", "pydantic<2").lines == ["cognitive==1", "pydantic<2"]


def test_included_files_are_folded_in_wherever_they_lie(tmp_path: Path) -> None:
    (tmp_path / "more" / "wheels").mkdir(parents=True)
    (tmp_path / "more" / "base.txt").write_text("--find-links wheels\n-c limits.txt\n-r deeper.txt\n")
    (tmp_path / "more" / "deeper.txt").write_text("numpy\n")
    found = requirements(tmp_path, "-r more/base.txt\ntorch\n")
    assert found.lines == ["--find-links more/wheels", "-c more/limits.txt", "numpy", "torch"]


@pytest.mark.parametrize("text", ["-r requirements.txt", "-r ../outside.txt", "-r missing.txt", "-r /etc/hostname"])
def test_an_include_that_leads_nowhere_out_or_in_circles_is_refused(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.txt").write_text("numpy")
    with pytest.raises(SetupFailed, match=r"no such file|includes itself"):
        requirements(folder, text)


@pytest.mark.parametrize("line", ["./package", "-e .", "wheels/a-1-py3-none-any.whl", "-f wheels", "a @ file:./a.whl"])
def test_what_lies_in_the_folder_makes_an_environment_of_that_folder_alone(line: str) -> None:
    assert packages(line).names_files


@pytest.mark.parametrize(
    "line", ["numpy", "a @ https://a.example/a.whl", "-f https://a.example", "--find-links /wheels"]
)
def test_what_comes_from_elsewhere_is_shared(line: str) -> None:
    assert not packages(line).names_files
