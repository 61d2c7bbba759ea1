"""What a type annotation means for an input: its piece of schema, and how a JSON value becomes what predict() gets.

Names, defaults and limits of parameters are not known here, see signature.py.
"""

from __future__ import annotations

import collections.abc
import pathlib
import typing
from dataclasses import dataclass
from typing import Any, Callable, TypeVar, Union

import cog

ALLOWED = (
    "str, int, float, bool, cog.Path, cog.File, cog.Secret, dict, Any, "
    "a list, Optional or Union of these, or Literal of texts or whole numbers"
)


class UnsupportedType(Exception):
    """The annotation is none of ALLOWED."""


@dataclass(frozen=True)
class Kind:
    schema: dict[str, Any]
    convert: Callable[[Any], Any]  # raises ValueError or TypeError
    is_nullable: bool = False
    choices: list[Any] | None = None  # of a Literal
    item: Kind | None = None  # of a list


def kind_of(annotation: Any) -> Kind:
    annotation = _behind_name(annotation)
    if hasattr(annotation, "__metadata__"):  # Annotated[T, ...]
        return _OBJECT if cog.Opaque in annotation.__metadata__ else kind_of(annotation.__origin__)
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return _literal(list(arguments))
    if origin is Union or type(annotation).__name__ == "UnionType":  # X | Y of Python 3.10
        return _union(arguments)
    concrete = origin or annotation
    if concrete in (list, collections.abc.Sequence):
        return _list_of(kind_of(arguments[0]) if arguments and not isinstance(arguments[0], TypeVar) else _ANYTHING)
    if isinstance(concrete, type):
        for base, kind in _BY_BASE:
            if issubclass(concrete, base):
                return kind
    raise UnsupportedType(getattr(annotation, "__name__", None) or str(annotation))


def _behind_name(annotation: Any) -> Any:
    """What a NewType, or `type X = …` of Python 3.12, stands for."""
    for attribute in ("__supertype__", "__value__"):
        if hasattr(annotation, attribute):
            return _behind_name(getattr(annotation, attribute))
    return annotation


def _whole_number(value: Any) -> int:
    """3.0 is a whole number in JSON; 3.5 is none."""
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("must be a whole number")
    return int(value)


def _truth(value: Any) -> bool:
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if value in (True, False):  # also 1 and 0
        return bool(value)
    raise ValueError("must be true or false")


_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _path(value: Any) -> Any:
    path = cog.Path.validate(value)
    return path.convert() if isinstance(path, cog.URLPath) else path


def _as_it_is(value: Any) -> Any:
    return value


_FILE = {"type": "string", "format": "uri"}
_SECRET = {"type": "string", "format": "password", "writeOnly": True, "x-cog-secret": True}
_OBJECT = Kind({"type": "object"}, _as_it_is)
_ANYTHING = Kind({}, _as_it_is)  # the items of a list that says nothing of them
_SIMPLE: dict[Any, Kind] = {
    str: Kind({"type": "string"}, _text),
    int: Kind({"type": "integer"}, _whole_number),
    float: Kind({"type": "number"}, float),
    bool: Kind({"type": "boolean"}, _truth),
    Any: _OBJECT,
}
_BY_BASE = (
    (pathlib.Path, Kind(_FILE, _path)),
    (cog.File, Kind(_FILE, cog.File.validate)),
    (cog.Secret, Kind(_SECRET, lambda value: cog.Secret(_text(value)))),
    (collections.abc.Mapping, _OBJECT),  # also TypedDict
)


def _list_of(item: Kind) -> Kind:
    def convert(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("must be a list")
        return [item.convert(each) for each in value]

    return Kind({"type": "array", "items": item.schema}, convert, item=item)


def _literal(choices: list[Any]) -> Kind:
    kind = next((each for each in (str, int) if all(type(choice) is each for choice in choices)), None)
    if kind is None:
        raise UnsupportedType(f"Literal{choices}")
    plain = _SIMPLE[kind]

    def convert(value: Any) -> Any:
        converted = plain.convert(value)
        if converted not in choices:
            raise ValueError(f"must be one of {choices}")
        return converted

    return Kind({**plain.schema, "enum": choices}, convert, choices=choices)


def _union(arguments: Any) -> Kind:
    members = [kind_of(argument) for argument in arguments if argument is not type(None)]
    is_nullable = type(None) in arguments
    if len(members) == 1:
        only = members[0]
        return Kind(only.schema, only.convert, is_nullable, only.choices, only.item)

    def convert(value: Any) -> Any:
        fitting = [member for member in members if _fits(member, value)]
        # Taken for a file, a text would let whoever sends it name any file of this machine.
        for member in fitting or [member for member in members if not _is_file(member)]:
            try:
                return member.convert(value)
            except (ValueError, TypeError):
                continue
        raise ValueError("fits none of the allowed types")

    return Kind({"anyOf": [member.schema for member in members]}, convert, is_nullable)


def _is_file(kind: Kind) -> bool:
    return kind.schema.get("format") == "uri"


def _fits(kind: Kind, value: Any) -> bool:
    """Whether a value already has the JSON type of a kind, so that "5" stays a text in Union[int, str]."""
    if isinstance(value, pathlib.PurePath) or _is_file(kind):
        return _is_file(kind) and isinstance(value, pathlib.PurePath)
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    is_allowed = kind.choices is None or value in kind.choices
    return is_allowed and kind.schema.get("type") == names.get(type(value))
