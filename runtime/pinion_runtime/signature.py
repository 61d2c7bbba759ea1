"""Reads the parameters and the result of predict() from its signature.

No values are converted here and no document is written.
"""

from __future__ import annotations

import collections.abc
import copy
import functools
import inspect
import sys
import typing
from dataclasses import dataclass
from typing import Any, Callable, TypeVar, Union

from cog import AsyncConcatenateIterator, ConcatenateIterator, FieldInfo
from pinion_runtime.failures import ModelError
from pinion_runtime.kinds import ALLOWED, Kind, UnsupportedType, kind_of

_CONCATENATING = (ConcatenateIterator, AsyncConcatenateIterator)
_ASYNC_ITERATORS = (AsyncConcatenateIterator, collections.abc.AsyncIterator, collections.abc.AsyncGenerator)
_ITERATORS = (ConcatenateIterator, collections.abc.Iterator, collections.abc.Generator, *_ASYNC_ITERATORS)
# What else a generator may be annotated with; alone they do not make an iterator, a list is one of them.
_ITERABLES = (*_ITERATORS, collections.abc.Iterable, collections.abc.AsyncIterable, list, collections.abc.Sequence)


@dataclass(frozen=True)
class Parameter:
    name: str
    kind: Kind
    field: FieldInfo  # its default is ... when the parameter is required

    @property
    def is_secret(self) -> bool:
        shape = (self.kind.item or self.kind).schema
        return any(each.get("format") == "password" for each in (shape, *shape.get("anyOf", ())))

    @property
    def choices(self) -> list[Any] | None:
        item = self.kind.item
        return self.field.choices or self.kind.choices or (item.choices if item else None)


@dataclass(frozen=True)
class Signature:
    parameters: list[Parameter]
    takes_any_key: bool  # **kwargs
    result: Any  # the annotation; of an iterator: that of one item
    is_iterator: bool
    is_concatenated: bool
    is_async: bool
    is_streaming: bool  # @streaming


def read_signature(predict: Any) -> Signature:
    is_function = inspect.isroutine(predict) or isinstance(predict, functools.partial)
    function = predict if is_function else predict.__call__  # an object that can be called
    hints = _hints(function)
    parameters = inspect.signature(function).parameters.values()
    result = hints.get("return", Any)
    origin = typing.get_origin(result) or result
    inner = inspect.unwrap(function)  # a decorator may hide what kind of function it is
    is_iterator = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner) or origin in _ITERATORS
    return Signature(
        parameters=[_read(each, hints) for each in parameters if each.kind is not each.VAR_KEYWORD],
        takes_any_key=any(each.kind is each.VAR_KEYWORD for each in parameters),
        result=_item(result, origin) if is_iterator and origin in _ITERABLES else result,
        is_iterator=is_iterator,
        is_concatenated=origin in _CONCATENATING,
        is_async=_is_async(inner) or origin in _ASYNC_ITERATORS,
        is_streaming=getattr(function, "__cog_streaming__", False),
    )


def _item(iterator: Any, origin: Any) -> Any:
    arguments = typing.get_args(iterator)
    item = arguments[0] if arguments and not isinstance(arguments[0], TypeVar) else Any
    if origin not in _CONCATENATING:
        return item
    if item not in (str, Any):
        raise ModelError(f"{origin.__name__} can only yield str; for other items use Iterator.")
    return str


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    try:
        if sys.version_info < (3, 9):
            return typing.get_type_hints(function)
        return typing.get_type_hints(function, include_extras=True)  # resolves annotations that are strings
    except Exception as error:  # any expression may stand in an annotation
        raise ModelError(f"The annotations of {function.__name__}() cannot be resolved: {error}") from error


def _read(parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
        raise ModelError(f"The parameter {name!r} must be one that can be given by name.")
    if name not in hints:
        raise ModelError(f"The parameter {name!r} has no type annotation. Allowed are {ALLOWED}.")
    try:
        kind = kind_of(hints[name])
    except UnsupportedType as error:
        raise ModelError(f"The parameter {name!r} has the type {error}. Allowed are {ALLOWED}.") from error
    read = Parameter(name, kind, _field(parameter, hints[name]))
    _check_choices(read)
    return read


def _field(parameter: inspect.Parameter, annotation: Any) -> FieldInfo:
    """What `= Input(...)` says, or `Annotated[T, Input(...)]` with a plain default."""
    if isinstance(parameter.default, FieldInfo):
        return parameter.default
    # Before 3.11 a default of None makes Annotated[T, …] an Optional of it.
    inner = typing.get_args(annotation) if typing.get_origin(annotation) is Union else ()
    said = [
        each
        for annotated in (annotation, *inner)
        for each in getattr(annotated, "__metadata__", ())
        if isinstance(each, FieldInfo)
    ]
    field = copy.copy(said[0]) if said else FieldInfo()
    if parameter.default is not parameter.empty:
        field.default = FieldInfo(parameter.default).default
    return field


def _check_choices(parameter: Parameter) -> None:
    kind = parameter.kind.item or parameter.kind
    allowed = None if kind.schema.get("format") else {"string": str, "integer": int}.get(kind.schema.get("type", ""))
    choices = parameter.field.choices
    wrong = [choice for choice in choices or () if type(choice) is not allowed]
    if choices is not None and (allowed is None or wrong):
        seen = "".join(f" This is of the type {type(choice).__name__}: {choice!r}" for choice in wrong[:1])
        raise ModelError(
            f"The choices of the parameter {parameter.name!r} must be texts for str or whole numbers for int.{seen}"
        )
