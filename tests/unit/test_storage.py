"""Pushed files: what is hostile or broken is refused and leaves nothing, and content alone names a version.

Contents arrive over HTTP in the integration tests.
"""

import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from shared.contents import Contents
from shared.contract import PushedFile
from shared.errors import Conflict, InvalidPush
from shared.storage import (
    check_files,
    copy_version,
    derive_version,
    derived_id,
    link_version,
    store_version,
    version_folder,
)

MODEL = "pinion/echo"
LIMIT = 4_000_000
MANIFEST = b'predict: "predict.py:Predictor"\n'
FILES = {"cog.yaml": MANIFEST, "predict.py": b"class Predictor: ...\n", "weights/a.bin": b"\x00" * 1000}
LARGE = b"w" * (1 << 20)


def described(files: dict[str, bytes] = FILES, executable: bool = False) -> list[PushedFile]:
    return [
        PushedFile(path=path, size=len(content), sha256=sha256(content).hexdigest(), executable=executable)
        for path, content in files.items()
    ]


def file(path: str, **changes: object) -> PushedFile:
    return PushedFile.model_validate({**described({path: b"x"})[0].model_dump(), **changes})


HOSTILE: dict[str, Callable[[], list[PushedFile]]] = {
    "parent": lambda: [file("../evil")],
    "parent further down": lambda: [file("a/../../evil")],
    "parent that stays within": lambda: [file("a/../evil")],
    "absolute": lambda: [file("/tmp/evil-of-pinion")],
    "backslash": lambda: [file("..\\evil")],
    "nul": lambda: [file("evil\0.py")],
    "another spelling": lambda: [file("./a")],
    "double slash": lambda: [file("a//b")],
    "folder": lambda: [file("a/")],
    "no name": lambda: [file("")],
    "name beyond the file system": lambda: [file("x" * 300)],
    "path beyond the file system": lambda: [file("d/" * 3000 + "x")],
    "name that is no text": lambda: [file("\udcff")],
    "too big": lambda: [file("a", size=LIMIT)],
    "too big together": lambda: [file(f"{n}", sha256=f"{n}" * 64, size=1_400_000) for n in range(3)],
    "negative size that makes room": lambda: [file("a", size=-LIMIT), file("b", sha256="b" * 64, size=LIMIT)],
    "two sizes of one content": lambda: [file("a"), file("b", size=2)],
    "no digest": lambda: [file("a", sha256="")],
    "digest that leads out": lambda: [file("a", sha256="../" * 20 + "evil")],
    "digest in capitals": lambda: [file("a", sha256="A" * 64)],
    "duplicate": lambda: [file("a"), file("a")],
    "file where a folder is": lambda: [file("a/b"), file("a")],
}


@pytest.fixture
def contents(tmp_path: Path) -> Contents:
    return Contents(tmp_path, "ada")


def arrive(contents: Contents, content: bytes, digest: str = "", size: int | None = None) -> bool:
    digest = digest or sha256(content).hexdigest()
    arrival = contents.open(digest, 0)
    arrival.write(content)
    arrival.close()
    return contents.keep(digest, len(content) if size is None else size)


def store(home: Path, files: dict[str, bytes] = FILES, model: str = MODEL, executable: bool = False) -> str:
    contents = Contents(home, "ada")
    pushed = described(files, executable)
    check_files(pushed, LIMIT)
    for content in files.values():
        if not contents.has(sha256(content).hexdigest(), len(content)):
            assert arrive(contents, content)
    return store_version(home, model, pushed, contents)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_or_lies_is_refused_in_a_sentence(what: str) -> None:
    with pytest.raises(InvalidPush) as refused:
        check_files([*described({"cog.yaml": MANIFEST}), *HOSTILE[what]()], LIMIT)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("path", ["predict.py", "model/cog.yaml", "cog.yaml/a"])
def test_a_folder_without_cog_yaml_is_no_model(path: str) -> None:
    with pytest.raises(InvalidPush, match=r"has no cog\.yaml"):
        check_files([file(path)], LIMIT)


def test_more_files_than_any_model_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.storage.MAX_ENTRIES", 10)
    with pytest.raises(InvalidPush, match="more than 10 files"):
        check_files([*described({"cog.yaml": MANIFEST}), *(file(f"{number}") for number in range(10))], LIMIT)


def test_a_content_that_is_not_what_it_was_said_to_be_leaves_nothing(tmp_path: Path, contents: Contents) -> None:
    for content, digest, size in ((b"evil", "a" * 64, 4), (b"long", sha256(b"lon").hexdigest(), 3)):
        with pytest.raises(InvalidPush, match="its file has changed, or it was damaged"):
            arrive(contents, content, digest, size)
    assert everything_in(tmp_path) == []


def test_a_content_named_by_a_path_is_refused(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(InvalidPush):
        contents.open("../../../evil", 0)
    assert everything_in(tmp_path) == []


def test_a_content_goes_on_where_it_was_cut_off_and_nowhere_else(contents: Contents) -> None:
    digest = sha256(b"onetwo").hexdigest()
    assert not arrive(contents, b"one", digest, 6)
    assert contents.received(digest) == 3
    wrong = contents.open(digest, 2)
    with pytest.raises(Conflict, match="3 bytes of this content are here"):
        wrong.write(b"etwo")
    wrong.close()
    rest = contents.open(digest, 3)
    rest.write(b"two")
    rest.close()
    assert contents.keep(digest, 6)
    assert contents.has(digest, 6)


def test_of_two_uploads_of_one_content_the_later_goes_on(contents: Contents) -> None:
    digest = sha256(b"onetwo").hexdigest()
    first, second = contents.open(digest, 0), contents.open(digest, 0)
    second.write(b"one")
    with pytest.raises(Conflict):
        first.write(b"o")
    second.write(b"two")
    first.close()
    second.close()
    assert contents.keep(digest, 6)


def test_a_content_of_somebody_else_is_not_there(tmp_path: Path, contents: Contents) -> None:
    arrive(contents, b"secret")
    assert not Contents(tmp_path, "eve").has(sha256(b"secret").hexdigest(), 6)


def test_a_content_that_a_model_wrote_into_is_not_used_again(tmp_path: Path, contents: Contents) -> None:
    folder = version_folder(tmp_path, store(tmp_path, FILES | {"weights/a.bin": LARGE}))
    weights = folder / "weights" / "a.bin"
    assert contents.has(sha256(LARGE).hexdigest(), len(LARGE))
    weights.chmod(0o600)
    weights.write_bytes(b"x" + LARGE[1:])
    assert not contents.has(sha256(LARGE).hexdigest(), len(LARGE))


def test_large_files_share_their_bytes_and_cannot_be_written_to(tmp_path: Path) -> None:
    files = FILES | {"weights/a.bin": LARGE}
    one, two = (version_folder(tmp_path, store(tmp_path, files, model)) / "weights/a.bin" for model in ("p/a", "p/b"))
    assert one.stat().st_ino == two.stat().st_ino
    assert one.stat().st_mode & 0o777 == 0o444


def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    folder = version_folder(tmp_path, store(tmp_path, FILES | {"weights/a.bin": LARGE}))
    assert (folder / "weights" / "a.bin").read_bytes() == LARGE


def test_a_model_lies_under_its_version(tmp_path: Path) -> None:
    version_id = store(tmp_path)
    assert re.fullmatch("[0-9a-f]{64}", version_id)
    folder = version_folder(tmp_path, version_id)
    assert {name: (folder / name).read_bytes() for name in everything_in(folder)} == FILES
    assert [path.name for path in (tmp_path / "versions").iterdir()] == [version_id]


def test_a_version_that_cannot_be_put_together_is_not_there_at_all(tmp_path: Path, contents: Contents) -> None:
    with pytest.raises(FileNotFoundError):
        store_version(tmp_path, MODEL, described(), contents)
    assert list((tmp_path / "versions").iterdir()) == []


def test_a_program_stays_executable_and_gains_no_other_rights(tmp_path: Path) -> None:
    for executable, mode in ((True, 0o755), (False, 0o644)):
        folder = version_folder(tmp_path, store(tmp_path, executable=executable))
        assert {path.stat().st_mode & 0o7777 for path in folder.rglob("*") if path.is_file()} == {mode}


def test_the_order_of_files_makes_no_new_version(tmp_path: Path) -> None:
    assert store(tmp_path) == store(tmp_path, dict(reversed(FILES.items())))
    assert len(list((tmp_path / "versions").iterdir())) == 1


@pytest.mark.parametrize(
    "changed",
    [
        FILES | {"predict.py": b"class Predictor: pass\n"},
        FILES | {"more.py": b""},
        {name: content for name, content in FILES.items() if name != "weights/a.bin"},
        {"b.bin" if name == "weights/a.bin" else name: content for name, content in FILES.items()},
    ],
)
def test_any_difference_in_the_files_is_another_version(tmp_path: Path, changed: dict[str, bytes]) -> None:
    assert store(tmp_path, changed) != store(tmp_path)


def test_an_executable_file_is_not_the_same_as_one_that_is_not(tmp_path: Path) -> None:
    assert store(tmp_path, executable=True) != store(tmp_path)


def test_the_boundary_between_name_and_content_counts(tmp_path: Path) -> None:
    assert store(tmp_path, FILES | {"ab": b"c"}) != store(tmp_path, FILES | {"a": b"bc"})


def test_two_models_of_the_same_files_have_versions_of_their_own(tmp_path: Path) -> None:
    assert store(tmp_path, model="pinion/one") != store(tmp_path, model="pinion/two")


def test_pushing_again_changes_nothing_of_what_is_there(tmp_path: Path) -> None:
    kept = version_folder(tmp_path, store(tmp_path)) / "predict.py"
    before = kept.stat()
    store(tmp_path)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_model_as_large_as_allowed_is_taken() -> None:
    check_files([*described({"cog.yaml": MANIFEST}), file("weights", size=LIMIT - len(MANIFEST))], LIMIT)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    return tmp_path / "source"


def test_a_linked_folder_is_the_version_of_its_content_and_is_not_copied(tmp_path: Path, source: Path) -> None:
    version_id = link_version(tmp_path / "linked", MODEL, described(), source)
    assert version_id == store(tmp_path / "stored")
    assert version_folder(tmp_path / "linked", version_id).resolve() == source.resolve()


def test_what_is_pushed_after_it_was_linked_does_not_depend_on_the_folder(tmp_path: Path, source: Path) -> None:
    version_id = link_version(tmp_path, MODEL, described(), source)
    assert store(tmp_path) == version_id
    assert link_version(tmp_path, MODEL, described(), source) == version_id
    assert not version_folder(tmp_path, version_id).is_symlink()
    assert everything_in(source) == sorted(FILES)


def test_a_version_made_of_another_has_its_files_and_shares_what_is_large(tmp_path: Path) -> None:
    source_id = store(tmp_path, {**FILES, "large.bin": LARGE})
    source = version_folder(tmp_path, source_id)
    (source / "__pycache__").mkdir()
    version_id = derived_id("pinion/tuned", source_id, "f" * 64)
    for _ in range(2):
        derive_version(tmp_path, version_id, source_id)
    made = version_folder(tmp_path, version_id)
    paths = {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert paths == {**FILES, "large.bin": LARGE}
    assert (made / "large.bin").samefile(source / "large.bin")
    assert not (made / "predict.py").samefile(source / "predict.py")


def test_a_version_made_of_a_linked_one_does_not_depend_on_the_folder(tmp_path: Path, source: Path) -> None:
    (source / "predict.py").chmod(0o444)
    source_id = link_version(tmp_path, MODEL, described(), source)
    derive_version(tmp_path, "f" * 64, source_id)
    (source / "predict.py").chmod(0o644)
    (source / "predict.py").write_text("changed")
    assert (version_folder(tmp_path, "f" * 64) / "predict.py").read_bytes() == FILES["predict.py"]


def test_the_id_of_a_version_made_of_another_is_that_of_all_it_is_made_of() -> None:
    given = [("pinion/tuned", "1" * 64, "2" * 64), ("pinion/other", "1" * 64, "2" * 64)]
    given += [("pinion/tuned", "3" * 64, "2" * 64), ("pinion/tuned", "1" * 64, "3" * 64)]
    ids = {derived_id(*parts) for parts in given}
    assert len(ids) == len(given)
    assert all(re.fullmatch("[0-9a-f]{64}", version_id) for version_id in ids)


def test_a_copy_to_work_in_can_be_written_to_and_shares_nothing(tmp_path: Path) -> None:
    source_id = store(tmp_path, {**FILES, "large.bin": LARGE})
    copy_version(tmp_path, source_id, tmp_path / "copy")
    copied = tmp_path / "copy" / "large.bin"
    assert copied.stat().st_mode & 0o200
    copied.write_bytes(b"changed")
    assert (version_folder(tmp_path, source_id) / "large.bin").read_bytes() == LARGE


@pytest.mark.parametrize("place", ["nowhere", "source"])
def test_a_folder_that_is_not_as_it_was_said_to_be_is_not_linked(tmp_path: Path, source: Path, place: str) -> None:
    (source / "predict.py").write_text("changed meanwhile")
    with pytest.raises(InvalidPush, match="is not as it was said to be"):
        link_version(tmp_path, MODEL, described(), tmp_path / place)
    assert not list(tmp_path.glob("versions/*"))
