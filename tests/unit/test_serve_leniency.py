"""Other spellings of numbers and truth values: each answer was seen with Cog 0.16.12."""

from typing import Any

import pytest

from serving.leniency import read_leniently
from tests.unit.test_input_schema import document

KINDS: dict[str, dict[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "ints": {"type": "array", "items": {"type": "integer"}},
    "choice": {"allOf": [{"$ref": "#/components/schemas/choice"}], "default": 1},
    "int_or_bool": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
    "int_or_str": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "float_or_ints": {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "integer"}}]},
}
DOCUMENT = document(KINDS, choice={"type": "integer", "enum": [1, 2]})


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("int", "5", 5),
        ("int", " 5.0 ", 5),
        ("int", "1_000", 1000),
        ("int", True, 1),
        ("float", "1.5", 1.5),
        ("float", "1e3", 1000.0),
        ("float", True, 1.0),
        ("bool", "true", True),
        ("bool", "ON", True),
        ("bool", "0", False),
        ("bool", 1, True),
        ("bool", 0.0, False),
        ("ints", ["1", True, 3], [1, 1, 3]),
        ("choice", "2", 2),
        ("int_or_bool", "5", 5),
        ("int_or_bool", "true", True),
        ("int_or_str", True, 1),
        ("float_or_ints", "1.5", 1.5),
        ("float_or_ints", ["3"], [3]),
    ],
)
def test_what_older_cog_reads_is_read(kind: str, given: Any, expected: Any) -> None:
    read = read_leniently(DOCUMENT, {kind: given})[kind]
    assert (read, type(read)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("int", "5.5"),
        ("int", 5.5),
        ("int", "1e3"),
        ("int", ""),
        ("int", "true"),
        ("int", None),
        ("int", [1]),
        ("float", "x"),
        ("float", "nan"),
        ("float", 1),
        ("bool", 2),
        ("bool", " true"),
        ("bool", None),
        ("str", 5),
        ("int_or_str", "5"),
        ("int_or_bool", False),
        ("ints", "1"),
        ("unknown", "5"),
    ],
)
def test_everything_else_stays_as_it_was_sent(kind: str, given: Any) -> None:
    read = read_leniently(DOCUMENT, {kind: given})[kind]
    assert (read, type(read)) == (given, type(given))
