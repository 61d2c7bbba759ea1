"""How a model process converts inputs, encodes outputs, words failures and writes frames."""

# ruff: noqa: ANN001, B008, UP007, UP042, UP045  the functions and records here are written as people write models

import datetime
import enum
import json
import os
import sys
import tempfile
import types
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pydantic
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from pinion_runtime.failures import InputError, ModelError, text_of
from pinion_runtime.frames import FrameWriter, compose, read_frames
from pinion_runtime.inputs import arguments_of
from pinion_runtime.outputs import encode
from pinion_runtime.signature import read_signature


def converted(annotation: Any, value: Any) -> Any:
    def predict(value): ...

    predict.__annotations__ = {"value": annotation}
    return arguments_of(read_signature(predict), {"value": value})["value"]


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (str, "5", "5"),
        (int, 5, 5),
        (int, 3.0, 3),
        (int, "5", 5),
        (float, 3, 3.0),
        (bool, True, True),
        (bool, "false", False),
        (bool, 1, True),
        (bool, "off", False),
        (int, True, 1),
        (float, "1.5", 1.5),
        (Union[int, float], 2.5, 2.5),
        (Union[str, list[str]], ["a"], ["a"]),
        (Any, {"a": 1}, {"a": 1}),
        (Annotated[set, cog.Opaque], [1], [1]),
        (Literal["a", "b"], "b", "b"),
        (str, "https://example.com/a.txt", "https://example.com/a.txt"),
        (Optional[str], "https://example.com/a.txt", "https://example.com/a.txt"),
        (list[str], ["https://example.com/a.txt"], ["https://example.com/a.txt"]),
        (dict, {"a": [1]}, {"a": [1]}),
        (list[int], [1.0, 2], [1, 2]),
        (Union[int, str], "5", "5"),
        (Union[int, str], 5, 5),
        (Union[float, list[int]], [1], [1]),
        (Optional[int], None, None),
        (Optional[int], 5.0, 5),
    ],
)
def test_a_value_becomes_what_the_annotation_says(annotation: Any, value: Any, expected: Any):
    result = converted(annotation, value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, 3.5, "input.value: must be a whole number"),
        (str, 5, "input.value: must be a string"),
        (bool, "perhaps", "input.value: must be true or false"),
        (float, 10**400, "input.value: int too large to convert to float"),
        (cog.Secret, {"a": 1}, "input.value: must be a string"),
        (list[int], 5, "input.value: must be a list"),
        (Union[int, float], "a", "input.value: fits none of the allowed types"),
        (str, None, "input.value: is required"),
    ],
)
def test_a_value_that_does_not_fit_is_named(annotation: Any, value: Any, message: str):
    with pytest.raises(InputError) as refusal:
        converted(annotation, value)
    assert str(refusal.value) == message


def test_files_and_secrets_are_wrapped(tmp_path: Path):
    (tmp_path / "a.txt").write_text("content")
    path = converted(cog.Path, str(tmp_path / "a.txt"))
    assert isinstance(path, cog.Path)
    assert isinstance(path.parent / "b", cog.Path)
    with converted(cog.File, str(path)) as file:
        assert file.read() == b"content"
    secret = converted(cog.Secret, "open sesame")
    assert (secret.get_secret_value(), str(secret), repr(secret)) == ("open sesame", "*" * 10, "Secret('**********')")
    assert [each.name for each in converted(list[cog.Path], [str(path)])] == ["a.txt"]


def test_a_data_url_as_a_path_is_a_local_file():
    path = converted(cog.Path, "data:text/plain;base64,aGFsbG8=")
    assert path.read_text() == "hallo"
    assert path.name.endswith("-file.txt")
    path.unlink()


def test_defaults_are_applied_and_not_shared():
    def predict(
        text: str, numbers: list[int] = cog.Input(default=[1]), seed: int = cog.Input(default=None), scale: float = 2
    ) -> str: ...

    signature = read_signature(predict)
    arguments = arguments_of(signature, {"text": "a", "seed": None, "unknown": 1})
    assert arguments == {"text": "a", "numbers": [1], "seed": None, "scale": 2.0}
    arguments["numbers"].append(2)
    assert arguments_of(signature, {"text": "a"})["numbers"] == [1]


def test_a_null_is_none_where_the_type_allows_it_and_the_default_elsewhere():
    def predict(hint: Optional[str] = "none given", count: int = 3, seed: int = cog.Input(default=None)) -> str: ...

    signature = read_signature(predict)
    assert arguments_of(signature, {}) == {"hint": "none given", "count": 3, "seed": None}
    nulls = {"hint": None, "count": None, "seed": None}
    assert arguments_of(signature, nulls) == {"hint": None, "count": 3, "seed": None}


def test_a_default_is_not_checked_and_converted_where_that_is_possible():
    def predict(
        key: cog.Secret = cog.Input(default=cog.Secret("a")),
        other: cog.Secret = cog.Input(default="b"),
        count: int = cog.Input(default=0.5),
        place: cog.Path = cog.Input(default="a/b"),
    ) -> str: ...

    arguments = arguments_of(read_signature(predict), {})
    assert arguments == {"key": cog.Secret("a"), "other": cog.Secret("b"), "count": 0.5, "place": cog.Path("a/b")}


def test_kwargs_get_the_unknown_keys():
    def predict(text: str, **others: Any) -> str: ...

    assert arguments_of(read_signature(predict), {"text": "a", "b": 1}) == {"text": "a", "b": 1}


class Size(enum.Enum):
    SMALL = "small"


class Text(str, enum.Enum):
    A = "a"


class Tensor:
    """Stands in for numpy and torch, which are known by their methods alone."""

    def tolist(self) -> list[float]:
        return [1.5]


class Record(cog.BaseModel):
    name: str
    size: Size = Size.SMALL
    note: Optional[str]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": {Size.SMALL}, "b": (Text.A,)}, {"a": ["small"], "b": ["a"]}),
        (Tensor(), [1.5]),
        (types.SimpleNamespace(a=Size.SMALL), {"a": "small"}),
        (Decimal("1.5"), 1.5),
        ({"at": datetime.datetime(2026, 1, 2, 3)}, {"at": "2026-01-02T03:00:00"}),
        (False, False),
        ({}, {}),
        ([], []),
        ([[Record("a")]], [[{"name": "a", "size": "small", "note": None}]]),
        (cog.Path.validate("https://example.com/a.png"), "https://example.com/a.png"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (b"text", "text"),
        (cog.Secret("open sesame"), "open sesame"),
        (Record("a"), {"name": "a", "size": "small", "note": None}),
        ([Record(name="b", note="c")], [{"name": "b", "size": "small", "note": "c"}]),
        (map(str, [1]), ["1"]),
        (0, 0),
        ("ä\U0001f600", "ä\U0001f600"),
    ],
)
def test_a_result_is_encoded(value: Any, expected: Any):
    assert json.loads(encode(value)) == expected


def test_our_types_may_stand_in_a_pydantic_model(tmp_path: Path):
    class Segment(pydantic.BaseModel):
        path: Optional[cog.Path] = None
        key: cog.Secret

    (tmp_path / "a.txt").write_text("content")
    segment = Segment(path=str(tmp_path / "a.txt"), key="open sesame")
    assert isinstance(segment.path, cog.Path)
    assert json.loads(encode([segment])) == [{"path": {"$file": str(tmp_path / "a.txt")}, "key": "open sesame"}]


def test_open_files_are_named_and_nameless_ones_written_down(tmp_path: Path):
    with open(tmp_path / "a.txt", "w+") as file:
        file.write("content")
        assert json.loads(encode(file)) == {"$file": str(tmp_path / "a.txt")}
        assert (tmp_path / "a.txt").read_text() == "content"
    with tempfile.TemporaryFile() as nameless:
        nameless.write(b"content")
        copy = Path(json.loads(encode(nameless))["$file"])
    assert copy.read_bytes() == b"content"
    copy.unlink()


@pytest.mark.parametrize("value", [float("nan"), [float("inf")], {"a": float("-inf")}])
def test_a_number_that_is_none_is_refused(value: Any):
    with pytest.raises(ModelError, match="NaN or Infinity"):
        encode(value)


def test_what_is_nested_without_end_and_what_is_no_file_are_refused(tmp_path: Path):
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ModelError, match="nested too deeply"):
        encode(nested)
    with pytest.raises(ModelError, match="which is no file"):
        encode(tmp_path)
    with pytest.raises(ModelError, match="which does not exist"):
        encode(tmp_path / "missing")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ModelError, match=r"return a file as cog\.Path"):
        encode(b"\xff")


class Shy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a"), "a"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (Shy(), "Shy, whose message cannot be shown"),
        (ValueError("a\r\n\tb\x00\x1b"), "a\ufffd\n\tb\ufffd\ufffd"),
        (ValueError("x" * 5000), "x" * 4093 + "…"),
    ],
)
def test_a_failure_has_a_text_that_can_be_shown(error: BaseException, text: str):
    assert text_of(error) == text


def test_frames_are_read_as_they_were_written():
    read_end, write_end = os.pipe()
    writer = FrameWriter(write_end)
    writer.write(compose("output", {"id": "a\nb"}, "value", encode("\ud800 \0 \\u0000 \\\0")))
    writer.write(compose("ready", {}))
    writer.close()
    assert list(read_frames(read_end)) == [
        {"type": "output", "id": "a\nb", "value": "\ufffd \ufffd \\u0000 \\\ufffd"},
        {"type": "ready"},
    ]
    os.close(read_end)


@pytest.mark.parametrize("forged", [{"$file": "/etc/passwd"}, [{"deep": {"$file": "x", "more": 1}}]])
def test_an_object_that_looks_like_a_file_and_is_none_is_refused(forged: Any):
    with pytest.raises(ModelError, match="reserved"):
        encode(forged)


def test_a_text_may_look_like_a_file(tmp_path: Path):
    (tmp_path / "a.txt").touch()
    text = '{"$file": "/etc/passwd"}'
    assert json.loads(encode([text, Path(tmp_path / "a.txt")])) == [text, {"$file": str(tmp_path / "a.txt")}]
