"""Which values of an input are files, as the model's OpenAPI document says.

A text that only looks like an address is left alone. Nothing is fetched here.
"""

from collections.abc import Callable, Mapping
from typing import Any

FETCHED = ("http:", "https:", "data:")

Replace = Callable[[str, str], Any]
"""From an input's name, like `images.0`, and its value to what stands in its place."""


def replaced(openapi: Mapping[str, Any], input: Mapping[str, Any], replace: Replace) -> dict[str, Any]:
    """The input with everything replaced that the document declares to be a file."""
    properties = openapi["components"]["schemas"]["Input"].get("properties", {})
    return {name: _replaced(properties.get(name, {}), value, name, replace) for name, value in input.items()}


def file_inputs(openapi: Mapping[str, Any], input: Mapping[str, Any]) -> dict[str, str]:
    """Name and URL of every file in an input."""
    found: dict[str, str] = {}
    replaced(openapi, input, lambda name, url: found.setdefault(name, url))
    return found


def with_defaults(openapi: Mapping[str, Any], input: Mapping[str, Any]) -> dict[str, Any]:
    """The input with the defaults of files that are left out: they are fetched like any other, not by the model."""
    properties = openapi["components"]["schemas"]["Input"].get("properties", {})
    left_out = {
        name: shape["default"]
        for name, shape in properties.items()
        if "default" in shape and input.get(name) is None and not (name in input and shape.get("nullable"))
    }
    fetched = {name.partition(".")[0] for name, url in file_inputs(openapi, left_out).items() if is_address(url)}
    return {**input, **{name: left_out[name] for name in fetched}}


def is_address(text: str) -> bool:
    """Whether it can be fetched."""
    return text.lower().startswith(FETCHED)


def _replaced(schema: Mapping[str, Any], value: Any, name: str, replace: Replace) -> Any:
    """Of several types the first that fits counts, as it does in the model process; only an address fits a file."""
    branches = schema.get("anyOf", [schema])
    for branch in branches:
        is_file = branch.get("format") == "uri"
        if isinstance(value, str) and branch.get("type") == "string" and (not is_file or _fits(value, branches)):
            return replace(name, value) if is_file else value
        if isinstance(value, list) and branch.get("type") == "array":
            items = branch.get("items", {})
            return [_replaced(items, each, f"{name}.{index}", replace) for index, each in enumerate(value)]
    return value


def _fits(text: str, branches: list[Any]) -> bool:
    """Where nothing but a file is allowed, what is no address is a file that cannot be had."""
    return is_address(text) or not any(_is_text(branch) for branch in branches)


def _is_text(branch: Mapping[str, Any]) -> bool:
    return branch.get("type") == "string" and branch.get("format") != "uri"
