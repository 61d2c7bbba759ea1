"""Pushed archives: what is hostile or broken is refused and leaves nothing, and content alone names a version."""

import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import InvalidArchive
from shared.storage import store_version, version_folder

MODEL = "pinion/echo"
LIMIT = 1_000_000
MANIFEST = b'predict: "predict.py:Predictor"\n'
FILES = {"cog.yaml": MANIFEST, "predict.py": b"class Predictor: ...\n", "weights/a.bin": b"\x00" * 1000}

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def archive(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    packed.seek(0)
    return packed


def model(files: dict[str, bytes] = FILES, **fields: object) -> io.BytesIO:
    return archive(*(entry(name, content, **fields) for name, content in files.items()))


MANIFEST_ENTRY = entry("cog.yaml", MANIFEST)
HOSTILE: dict[str, Callable[[], io.BytesIO]] = {
    "parent": lambda: archive(MANIFEST_ENTRY, entry("../evil", b"x")),
    "parent further down": lambda: archive(MANIFEST_ENTRY, entry("a/../../evil", b"x")),
    "parent folder": lambda: archive(MANIFEST_ENTRY, entry("../evil", kind=tarfile.DIRTYPE)),
    "absolute": lambda: archive(MANIFEST_ENTRY, entry("/tmp/evil-of-pinion", b"x")),
    "backslash": lambda: archive(MANIFEST_ENTRY, entry("..\\evil", b"x")),
    "symlink": lambda: archive(MANIFEST_ENTRY, entry("link", kind=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "symlink to write through": lambda: archive(
        MANIFEST_ENTRY, entry("link", kind=tarfile.SYMTYPE, linkname=".."), entry("link/evil", b"x")
    ),
    "hardlink": lambda: archive(MANIFEST_ENTRY, entry("link", kind=tarfile.LNKTYPE, linkname="cog.yaml")),
    "character device": lambda: archive(MANIFEST_ENTRY, entry("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "block device": lambda: archive(MANIFEST_ENTRY, entry("disk", kind=tarfile.BLKTYPE, devmajor=8)),
    "fifo": lambda: archive(MANIFEST_ENTRY, entry("pipe", kind=tarfile.FIFOTYPE)),
    "too big": lambda: archive(MANIFEST_ENTRY, entry("big", b"x" * LIMIT)),
    "too big together": lambda: archive(MANIFEST_ENTRY, *(entry(f"{n}", b"x" * 400_000) for n in range(3))),
    "duplicate": lambda: archive(MANIFEST_ENTRY, entry("a", b"1"), entry("a", b"2")),
    "duplicate in another spelling": lambda: archive(MANIFEST_ENTRY, entry("a", b"1"), entry("./a", b"2")),
    "file where a folder is": lambda: archive(MANIFEST_ENTRY, entry("a/b", b"1"), entry("a", b"2")),
    "folder where a file is": lambda: archive(MANIFEST_ENTRY, entry("a", b"1"), entry("a/b", b"2")),
    "folder entry where a file is": lambda: archive(MANIFEST_ENTRY, entry("a", b"1"), entry("a", kind=tarfile.DIRTYPE)),
    "file named like the folder itself": lambda: archive(MANIFEST_ENTRY, entry(".", b"x")),
    "name beyond the file system": lambda: archive(MANIFEST_ENTRY, entry("x" * 300, b"x")),
    "path beyond the file system": lambda: archive(MANIFEST_ENTRY, entry("d/" * 3000 + "x", b"x")),
    "name that is no text": lambda: archive(MANIFEST_ENTRY, entry("\udcff", b"x"), form=tarfile.GNU_FORMAT),
    "no tar": lambda: io.BytesIO(b"these are not the bytes of an archive" * 100),
    "nothing": lambda: io.BytesIO(b""),
    "compressed": lambda: _compressed(),
    "cut short in a file": lambda: io.BytesIO(model().getvalue()[:3000]),
    "cut short in a header": lambda: io.BytesIO(model().getvalue()[:2500]),
    "cut short between two files": lambda: io.BytesIO(model().getvalue()[:2048]),
    "damaged in the middle": lambda: io.BytesIO(model().getvalue()[:2048] + b"x" * 512 + model().getvalue()[2560:]),
    "no cog.yaml": lambda: archive(entry("predict.py", b"x")),
    "cog.yaml further down": lambda: archive(entry("model/cog.yaml", MANIFEST)),
    "folder called cog.yaml": lambda: archive(entry("cog.yaml", kind=tarfile.DIRTYPE)),
}


def _compressed() -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(MANIFEST_ENTRY[0], io.BytesIO(MANIFEST))
    packed.seek(0)
    return packed


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_or_broken_is_refused_and_leaves_nothing_behind(tmp_path: Path, what: str) -> None:
    home = tmp_path / "home"
    with pytest.raises(InvalidArchive) as refused:
        store_version(home, MODEL, HOSTILE[what](), LIMIT)
    assert len(refused.value.message) < 300
    assert everything_in(tmp_path) == []
    assert list((home / "versions").iterdir()) == []
    assert not Path("/tmp/evil-of-pinion").exists()


def test_more_entries_than_any_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.storage.MAX_ENTRIES", 10)
    many = archive(MANIFEST_ENTRY, *(entry(f"{number}", kind=tarfile.DIRTYPE) for number in range(10)))
    with pytest.raises(InvalidArchive):
        store_version(tmp_path, MODEL, many, LIMIT)


def test_a_header_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    lying = bytearray(archive(MANIFEST_ENTRY, entry("a", b"x")).getvalue())
    second = lying.index(b"a\0", 1024)
    lying[second + 124 : second + 136] = b"\xff" * 11 + b"\x00"  # a negative number in the notation for large ones
    header = lying[second : second + 512]
    header[148:156] = b" " * 8
    lying[second + 148 : second + 156] = f"{sum(header):06o}\0 ".encode()
    with pytest.raises(InvalidArchive):
        store_version(tmp_path, MODEL, io.BytesIO(bytes(lying)), LIMIT)


def test_a_model_is_unpacked_under_its_version(tmp_path: Path) -> None:
    version_id = store_version(tmp_path, MODEL, model(), LIMIT)
    assert re.fullmatch("[0-9a-f]{64}", version_id)
    folder = version_folder(tmp_path, version_id)
    assert {name: (folder / name).read_bytes() for name in everything_in(folder)} == FILES
    assert [path.name for path in (tmp_path / "versions").iterdir()] == [version_id]


def test_a_program_stays_executable_and_gains_no_other_rights(tmp_path: Path) -> None:
    packed = archive(MANIFEST_ENTRY, entry("run.sh", b"#!/bin/sh\n", mode=0o6777), entry("data", b"x", mode=0o000))
    folder = version_folder(tmp_path, store_version(tmp_path, MODEL, packed, LIMIT))
    modes = {name: (folder / name).stat().st_mode & 0o7777 for name in ("run.sh", "data", "cog.yaml")}
    assert modes == {"run.sh": 0o755, "data": 0o644, "cog.yaml": 0o644}


def test_the_same_content_is_the_same_version_whatever_its_times_and_owners(tmp_path: Path) -> None:
    first = store_version(tmp_path, MODEL, model(mtime=1, uid=0, uname="root"), LIMIT)
    second = store_version(tmp_path, MODEL, model(mtime=2_000_000_000, uid=1000, uname="ada", mode=0o600), LIMIT)
    assert first == second
    assert len(list((tmp_path / "versions").iterdir())) == 1


def test_neither_order_nor_folder_entries_nor_the_spelling_of_paths_make_a_new_version(tmp_path: Path) -> None:
    plain = store_version(tmp_path, MODEL, model(), LIMIT)
    backwards = [entry(f"./{name}", content) for name, content in reversed(FILES.items())]
    packed = archive(entry(".", kind=tarfile.DIRTYPE), entry("weights", kind=tarfile.DIRTYPE), *backwards)
    assert store_version(tmp_path, MODEL, packed, LIMIT) == plain


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
    assert store_version(tmp_path, MODEL, model(changed), LIMIT) != store_version(tmp_path, MODEL, model(), LIMIT)


def test_an_executable_file_is_not_the_same_as_one_that_is_not(tmp_path: Path) -> None:
    assert store_version(tmp_path, MODEL, model(mode=0o755), LIMIT) != store_version(tmp_path, MODEL, model(), LIMIT)


def test_the_boundary_between_name_and_content_counts(tmp_path: Path) -> None:
    one = FILES | {"ab": b"c"}
    other = FILES | {"a": b"bc"}
    assert store_version(tmp_path, MODEL, model(one), LIMIT) != store_version(tmp_path, MODEL, model(other), LIMIT)


def test_two_models_of_the_same_files_have_versions_of_their_own(tmp_path: Path) -> None:
    assert store_version(tmp_path, "pinion/one", model(), LIMIT) != store_version(
        tmp_path, "pinion/two", model(), LIMIT
    )


def test_pushing_again_changes_nothing_of_what_is_there(tmp_path: Path) -> None:
    version_id = store_version(tmp_path, MODEL, model(), LIMIT)
    kept = version_folder(tmp_path, version_id) / "predict.py"
    before = kept.stat()
    store_version(tmp_path, MODEL, model(), LIMIT)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_model_as_large_as_allowed_is_taken(tmp_path: Path) -> None:
    rest = LIMIT - len(MANIFEST)
    store_version(tmp_path, MODEL, archive(MANIFEST_ENTRY, entry("weights", b"x" * rest)), LIMIT)
