"""Describes what predict() returns: types, lists, and records such as BaseModel, pydantic, dataclass and TypedDict.

A type that is not known here is described as anything: what is returned is seen when it is encoded.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import pathlib
import typing
from typing import Any, Dict, Iterator, Union

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
    return _describe_class(concrete, components) if isinstance(concrete, type) else {}


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
    for name, annotation, is_required in _fields(kind):
        field = _describe(annotation, components)
        described["properties"][name] = field if "$ref" in field else {"title": name.title().replace("_", " "), **field}
        if is_required and type(None) not in typing.get_args(annotation):
            required.append(name)
    if required:
        described["required"] = required
    # the components of these names are taken, so the record stands where it is used
    return components.pop(kind.__name__) if kind.__name__ in RESERVED else reference


def _fields(kind: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name, annotation, and whether the field has no default."""
    if hasattr(kind, "model_fields"):  # pydantic 2
        for name, field in kind.model_fields.items():
            yield name, field.annotation, field.is_required()
    elif hasattr(kind, "__fields__"):  # pydantic 1
        for name, field in kind.__fields__.items():
            yield name, field.outer_type_, bool(field.required)
    else:
        for name, annotation in typing.get_type_hints(kind).items():
            if not name.startswith("_") and typing.get_origin(annotation) is not typing.ClassVar:
                yield name, annotation, _has_no_default(kind, name)


def _has_no_default(kind: Any, name: str) -> bool:
    if hasattr(kind, "__required_keys__"):  # TypedDict
        return name in kind.__required_keys__
    field = getattr(kind, "__dataclass_fields__", {}).get(name)
    if field is not None and field.default_factory is not dataclasses.MISSING:
        return False
    default = getattr(kind, name, ...)
    return default is ... or (isinstance(default, FieldInfo) and default.is_required)
