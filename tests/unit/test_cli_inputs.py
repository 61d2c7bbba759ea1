"""From `key=value` to a model's input.

The schemas are as the server publishes them; no server is asked.
"""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from cli.failure import Failure
from cli.inputs import read_inputs

PROPERTIES = {
    "prompt": {"type": "string"},
    "steps": {"type": "integer"},
    "strength": {"type": "number"},
    "tiled": {"type": "boolean"},
    "words": {"type": "array", "items": {"type": "string"}},
    "options": {"type": "object"},
    "image": {"type": "string", "format": "uri"},
    "size": {"allOf": [{"$ref": "#/components/schemas/size"}], "default": 512},
    "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
}
SCHEMA: dict[str, Any] = {
    "components": {
        "schemas": {
            "Input": {"type": "object", "properties": PROPERTIES},
            "size": {"type": "integer", "enum": [512, 1024]},
        }
    }
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("prompt=a=b", "a=b"),
        ("prompt=42", "42"),
        ("prompt=", ""),
        ("steps=42", 42),
        ("strength=0.5", 0.5),
        ("strength=1", 1.0),
        ("tiled=yes", True),
        ("tiled=False", False),
        ('words=["a", "b"]', ["a", "b"]),
        ('options={"a": 1}', {"a": 1}),
        ("size=1024", 1024),
        ("seed=7", 7),
        ("unknown=7", "7"),
    ],
)
def test_a_value_becomes_what_the_schema_asks_for(pair: str, value: object) -> None:
    (found,) = read_inputs([pair], None, SCHEMA).values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("pair", ["steps=many", "strength=strong", "tiled=perhaps", "words=a", "size=large"])
def test_a_value_that_does_not_fit_is_named_with_one_that_would(pair: str) -> None:
    with pytest.raises(Failure, match=rf"{pair} does not fit: .* is of type .*, like "):
        read_inputs([pair], None, SCHEMA)


def test_an_input_without_an_equals_sign_is_explained() -> None:
    with pytest.raises(Failure, match="prompt is no input: write it as key=value"):
        read_inputs(["prompt"], None, SCHEMA)


def test_a_file_gives_its_text_and_a_file_input_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("3")
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    pairs = [f"prompt=@{tmp_path}/a.txt", f"steps=@{tmp_path}/a.txt", f"image=@{tmp_path}/a.png"]
    found = read_inputs(pairs, None, SCHEMA)
    assert found == {"prompt": "3", "steps": 3, "image": "data:image/png;base64,iVBORw=="}


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="prompt: /nowhere cannot be read"):
        read_inputs(["prompt=@/nowhere"], None, SCHEMA)
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(Failure, match="is no text"):
        read_inputs([f"prompt=@{tmp_path}/a"], None, SCHEMA)


def test_single_values_stand_above_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "input.json"
    document.write_text(json.dumps({"prompt": "a", "steps": 1}))
    assert read_inputs(["steps=2"], str(document), SCHEMA) == {"prompt": "a", "steps": 2}
    monkeypatch.setattr("sys.stdin", io.StringIO('{"prompt": "b"}'))
    assert read_inputs([], "-", SCHEMA) == {"prompt": "b"}


@pytest.mark.parametrize(("content", "sentence"), [("[1]", "must hold a JSON object"), ("{", "holds no JSON")])
def test_a_document_of_another_kind_is_explained(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "input.json").write_text(content)
    with pytest.raises(Failure, match=sentence):
        read_inputs([], str(tmp_path / "input.json"), SCHEMA)
