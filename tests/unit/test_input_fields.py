"""Which values of an input are files, as the model's own schema says."""

from typing import Any

import pytest

from shared.file_inputs import file_inputs, replaced

TEXT = {"type": "string"}
FILE = {"type": "string", "format": "uri"}
URL = "https://host.test/a.png"


def schema(**properties: Any) -> dict[str, Any]:
    return {"components": {"schemas": {"Input": {"type": "object", "properties": properties}}}}


@pytest.mark.parametrize(
    ("declared", "value", "found"),
    [
        (FILE, URL, {"x": URL}),
        ({**FILE, "nullable": True}, None, {}),
        (TEXT, URL, {}),
        ({"type": "string", "format": "password"}, URL, {}),
        ({"type": "array", "items": FILE}, [URL, "data:,x"], {"x.0": URL, "x.1": "data:,x"}),
        ({"type": "array", "items": TEXT}, [URL], {}),
        ({"type": "array", "items": {"type": "array", "items": FILE}}, [[URL]], {"x.0.0": URL}),
        ({"type": "object"}, {"a": URL}, {}),
        ({"anyOf": [FILE, TEXT]}, URL, {"x": URL}),
        ({"anyOf": [FILE, TEXT]}, "a word", {}),
        ({"anyOf": [FILE, {"type": "integer"}]}, "a word", {"x": "a word"}),
        ({"anyOf": [TEXT, FILE]}, URL, {}),
        ({"anyOf": [{"type": "integer"}, FILE]}, URL, {"x": URL}),
        ({"anyOf": [{"type": "integer"}, FILE]}, 3, {}),
        ({"anyOf": [FILE, {"type": "array", "items": FILE}]}, [URL], {"x.0": URL}),
        ({"allOf": [{"$ref": "#/components/schemas/x"}]}, URL, {}),
    ],
)
def test_only_what_is_declared_a_file_is_one(declared: Any, value: Any, found: dict[str, str]) -> None:
    assert file_inputs(schema(x=declared), {"x": value}) == found
    local = replaced(schema(x=declared), {"x": value}, lambda name, url: f"/local/{name}")
    assert (local == {"x": value}) == (not found)


def test_a_key_the_schema_does_not_know_is_no_file() -> None:
    assert file_inputs(schema(), {"y": URL}) == {}
