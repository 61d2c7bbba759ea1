"""Which inputs of a schema are secret, however deep, and what is shown in their place."""

from typing import Any

import pytest

from shared.input_schema import compile_schema
from shared.secret_inputs import masked

SECRET = {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
REFERENCE = {"$ref": "#/components/schemas/Secret"}


def secrets_of(shape: dict[str, Any]) -> tuple[str, ...]:
    properties = {"open": {"type": "string", "format": "uri"}, "it": shape}
    components = {"Input": {"type": "object", "properties": properties}, "Secret": SECRET}
    return compile_schema({"components": {"schemas": components}}).secrets


@pytest.mark.parametrize(
    "shape",
    [
        SECRET,
        {**SECRET, "nullable": True, "default": None},
        {"type": "string", "x-cog-secret": True},
        {"type": "string", "format": "password"},
        {"type": "array", "items": SECRET},
        {"type": "array", "items": REFERENCE},
        {"allOf": [REFERENCE]},
        {"anyOf": [{"type": "integer"}, REFERENCE]},
        {"type": "object", "properties": {"key": SECRET}},
        {"type": "object", "additionalProperties": SECRET},
    ],
)
def test_what_is_or_holds_a_secret_is_one(shape: dict[str, Any]) -> None:
    assert secrets_of(shape) == ("it",)


@pytest.mark.parametrize(
    "shape",
    [
        {"type": "string"},
        {"type": "string", "x-cog-secret": False},
        {"type": "object", "properties": {"format": {"type": "string"}, "x-cog-secret": {"type": "boolean"}}},
    ],
)
def test_what_only_looks_like_one_is_not(shape: dict[str, Any]) -> None:
    assert secrets_of(shape) == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("sesame", "**********"),
        ("", "**********"),
        (12345, "**********"),
        (["sesame", None, ["alohomora"]], ["**********", None, ["**********"]]),
        ({"sesame": "alohomora"}, "**********"),
        (None, None),
    ],
)
def test_nothing_of_a_secret_is_shown(value: Any, shown: Any) -> None:
    assert masked({"it": value, "open": value}, ["it"]) == {"it": shown, "open": value}


def test_without_secrets_an_input_is_shown_as_it_is() -> None:
    assert masked({"it": "sesame"}, None) == {"it": "sesame"}
