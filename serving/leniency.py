"""Numbers and truth values in the other spellings that Cog takes up to 0.16: "5" and true for an integer, 1 for true.

What fits as it is stays as it was sent. What cannot be read either is left for the check to refuse.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import FiniteFloat, TypeAdapter, ValidationError

_REFERENCE = "#/components/schemas/"
_READERS: dict[str, TypeAdapter[Any]] = {
    "integer": TypeAdapter(int),
    "number": TypeAdapter(FiniteFloat),  # NaN and infinity are not JSON
    "boolean": TypeAdapter(bool),
}
"""Pydantic's lax mode, which is what Cog reads inputs with."""
_TYPES: dict[str, type | tuple[type, ...]] = {
    "integer": (int, float),
    "number": (int, float),
    "boolean": bool,
    "string": str,
    "array": list,
    "object": dict,
}


def read_leniently(openapi: Mapping[str, Any], input: Mapping[str, Any]) -> dict[str, Any]:
    """An input with everything read as the type that the document declares; it must be one that can be checked."""
    components = openapi["components"]["schemas"]
    properties = components["Input"].get("properties", {})
    return {name: _read(value, properties.get(name, {}), components) for name, value in input.items()}


def _read(value: Any, schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _read(value, components[schema["$ref"].removeprefix(_REFERENCE)], components)
    for part in schema.get("allOf", []):  # choices
        value = _read(value, part, components)
    if "anyOf" in schema:
        return _read_as_any(value, schema["anyOf"], components)
    if isinstance(value, list) and schema.get("type") == "array":
        return [_read(item, schema.get("items", {}), components) for item in value]
    return _scalar(value, schema.get("type"))


def _read_as_any(value: Any, branches: list[Mapping[str, Any]], components: Mapping[str, Any]) -> Any:
    """As the first type that can be read, unless it is of one of them: "5" stays a text where texts are allowed."""
    kinds = [branch.get("type") for branch in branches]
    for branch, kind in zip(branches, kinds, strict=True):
        if _is(value, kind) or not any(_is(value, other) for other in kinds):
            read = _read(value, branch, components)
            if _is(read, kind):
                return read
    return value


def _scalar(value: Any, kind: Any) -> Any:
    reader = _READERS.get(kind)
    if reader is None or value is None or _is(value, kind):
        return value
    try:
        return reader.validate_python(value)
    except ValidationError:
        return value


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, _TYPES.get(kind, ())) and (kind == "boolean") == isinstance(value, bool)
