"""`key=value` of the command line as a model's input, by the types its schema names.

Whether the values are allowed is for the server to say.
"""

import base64
import json
import mimetypes
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.failure import Failure

Schema = dict[str, Any]

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def read_inputs(pairs: Sequence[str], document: str | None, schema: Schema) -> dict[str, Any]:
    """The input: a JSON document from a file or `-`, and on top of it single values."""
    inputs = _read_document(document) if document else {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise Failure(f"{pair} is no input: write it as key=value, or key=@file for a file's content.")
        inputs[key] = convert(key, text, property_of(schema, key))
    return inputs


def property_of(schema: Schema, key: str) -> Schema:
    """What the schema says about one input; a choice is described at another place it refers to."""
    schemas = schema.get("components", {}).get("schemas", {})
    found = schemas.get("Input", {}).get("properties", {}).get(key, {})
    for reference in [found, *found.get("allOf", ()), *found.get("anyOf", ())]:
        if name := reference.get("$ref", "").rpartition("/")[2]:
            return {**schemas.get(name, {}), **found}
        if "type" in reference and reference["type"] != "null":
            return {**reference, **found}
    return dict(found)


def convert(key: str, text: str, schema: Schema) -> Any:
    """One value, as the type the schema asks for; text where it says nothing."""
    if text.startswith("@"):
        text = _read_file(key, Path(text[1:]).expanduser(), is_file_input=schema.get("format") == "uri")
    kind = schema.get("type", "string")
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "boolean":
            return _boolean(text)
        return json.loads(text) if kind in ("array", "object") else text
    except ValueError:
        example = {"array": '["a", "b"]', "object": '{"a": 1}', "boolean": "true", "integer": "3", "number": "0.5"}[
            kind
        ]
        raise Failure(f"{key}={text} does not fit: {key} is of type {kind}, like {key}='{example}'.") from None


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError


def _read_file(key: str, path: Path, *, is_file_input: bool) -> str:
    """A file's text, or, for an input that is a file, a data URI with its bytes."""
    try:
        if not is_file_input:
            return path.read_text()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    except OSError as error:
        raise Failure(f"{key}: {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise Failure(f"{key}: {path} is no text, and {key} takes text.") from None


def _read_document(source: str) -> dict[str, Any]:
    try:
        content = json.loads(sys.stdin.read() if source == "-" else Path(source).read_text())
    except OSError as error:
        raise Failure(f"{source} cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise Failure(f"{source} holds no JSON ({error}).") from None
    if not isinstance(content, dict):
        raise Failure(f"{source} must hold a JSON object: the inputs by their names.")
    return content
