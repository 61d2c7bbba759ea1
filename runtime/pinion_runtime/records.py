"""Describes what predict() returns: types, lists, and records such as BaseModel, pydantic, dataclass and TypedDict.

A type that is not known here is described as anything: what is returned is seen when it is encoded.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import json
import pathlib
import typing
from typing import Any, Dict, Iterator, NamedTuple, Union

from cog import FieldInfo, File, Secret
from pinion_runtime.document import RESERVED
from pinion_runtime.signature import Signature

_LISTS = (list, set, frozenset, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Iterator)
_FILE = {"type": "string", "format": "uri"}
_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}

Components = Dict[str, Any]


class _Field(NamedTuple):
    """Of a record. A default that JSON cannot say, or None, is none to show."""

    name: str
    annotation: Any
    is_required: bool
    default: Any
    description: str | None


def describe_result(signature: Signature, title: str, components: Components) -> dict[str, Any]:
    records: Components = {}
    described = _describe(signature.result, records)
    components.update(records)
    if not signature.is_iterator:
        return {"title": title, **described}
    marks = {"x-cog-array-type": "iterator"}
    if signature.is_concatenated:
        marks["x-cog-array-display"] = "concatenate"
    return {"title": title, "type": "array", "items": described, **marks}


def _describe(annotation: Any, components: Components) -> dict[str, Any]:
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if annotation in _SIMPLE:
        return dict(_SIMPLE[annotation])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Union or type(annotation).__name__ == "UnionType":
        return _union(arguments, components)
    if origin is typing.Literal:
        return _enumeration(list(arguments))
    concrete = origin or annotation
    if concrete in _LISTS:
        items = dict.fromkeys(each for each in arguments if each is not ...)  # of a tuple there may be several
        return {"type": "array", "items": _union(list(items), components) if items else {}}
    if not isinstance(concrete, type):
        return {}
    if issubclass(concrete, collections.abc.Mapping) and len(arguments) == 2:
        return {"type": "object", "additionalProperties": _describe(arguments[1], components) or True}
    return _describe_class(concrete, components)


def _describe_class(kind: type, components: Components) -> dict[str, Any]:
    if issubclass(kind, (pathlib.Path, File)):
        return dict(_FILE)
    if issubclass(kind, Secret):
        return {"type": "string", "format": "password"}
    if issubclass(kind, enum.Enum):
        return _enumeration([member.value for member in kind])
    if _is_record(kind):
        return _record(kind, components)
    return {"type": "object"} if issubclass(kind, collections.abc.Mapping) else {}


def _enumeration(values: list[Any]) -> dict[str, Any]:
    kinds = {type(value) for value in values}
    return {"enum": values, **_SIMPLE.get(kinds.pop() if len(kinds) == 1 else None, {})}


def _union(arguments: Any, components: Components) -> dict[str, Any]:
    members = [_describe(argument, components) for argument in arguments if argument is not type(None)] or [{}]
    described = members[0] if len(members) == 1 else {"anyOf": members}
    if type(None) not in arguments:
        return described
    # OpenAPI 3.0 ignores what stands beside a $ref
    return {"allOf": [described], "nullable": True} if "$ref" in described else {**described, "nullable": True}


def _is_record(kind: type) -> bool:
    """Ours, pydantic 1 and 2, dataclasses and TypedDict, without importing any."""
    marks = ("model_dump", "__fields__", "__total__")
    return dataclasses.is_dataclass(kind) or any(hasattr(kind, mark) for mark in marks)


def _record(kind: type, components: Components) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{kind.__name__}"}
    if kind.__name__ in components and (kind.__name__ not in RESERVED or kind.__name__ == "Output"):
        return reference
    described: dict[str, Any] = {"title": kind.__name__, "type": "object", "properties": {}}
    components[kind.__name__] = described  # before its fields, one of which may be of this class
    required = []
    for field in _fields(kind):
        described["properties"][field.name] = _property(field, components)
        if field.is_required and type(None) not in typing.get_args(field.annotation):
            required.append(field.name)
    if required:
        described["required"] = required
    # the components of these names are taken, so the record stands where it is used
    return components.pop(kind.__name__) if kind.__name__ in RESERVED else reference


def _property(field: _Field, components: Components) -> dict[str, Any]:
    described = _describe(field.annotation, components)
    about = {"description": field.description, "default": _as_json(field.default)}
    extras = {key: value for key, value in about.items() if value is not None}
    if "$ref" in described:
        return {"allOf": [described], **extras} if extras else described
    return {"title": field.name.title().replace("_", " "), **described, **extras}


def _as_json(default: Any) -> Any:
    try:
        return json.loads(
            json.dumps(FieldInfo(default).default, allow_nan=False)
        )  # of an enumeration's member its value
    except (TypeError, ValueError):
        return None


def _fields(kind: Any) -> Iterator[_Field]:
    if hasattr(kind, "model_fields"):  # pydantic 2
        for name, field in kind.model_fields.items():
            yield _Field(name, field.annotation, field.is_required(), field.default, field.description)
    elif hasattr(kind, "__fields__"):  # pydantic 1
        for name, field in kind.__fields__.items():
            about = field.field_info.description
            yield _Field(name, field.outer_type_, bool(field.required), field.default, about)
    else:
        for name, annotation in typing.get_type_hints(kind).items():
            if not name.startswith("_") and typing.get_origin(annotation) is not typing.ClassVar:
                yield _plain_field(kind, name, annotation)


def _plain_field(kind: Any, name: str, annotation: Any) -> _Field:
    """Of a class whose defaults are attributes; a TypedDict has none."""
    if hasattr(kind, "__required_keys__"):
        return _Field(name, annotation, name in kind.__required_keys__, None, None)
    default = getattr(kind, name, ...)
    about = default if isinstance(default, FieldInfo) else FieldInfo(default)
    field = getattr(kind, "__dataclass_fields__", {}).get(name)
    is_made = field is not None and field.default_factory is not dataclasses.MISSING
    return _Field(name, annotation, about.is_required and not is_made, about.default, about.description)
