"""`BaseModel` where there is no pydantic: a record with fields and defaults.

Nothing is validated here; encoding the record for the wire is the business of pinion_runtime.
"""

from __future__ import annotations

import builtins
import copy
import dataclasses
import typing
from typing import Any, ClassVar

from cog.fields import FieldInfo


class BaseModel:
    """Takes its annotated fields by keyword or by position; an absent Optional field is None."""

    def __init_subclass__(cls, *, auto_dataclass: bool = True, **keywords: Any) -> None:
        """`auto_dataclass` is accepted because Cog has it; here a record is never a dataclass."""
        super().__init_subclass__(**keywords)

    def __init__(self, *positional: Any, **given: Any) -> None:
        fields = fields_of(type(self))
        if len(positional) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} values, got {len(positional)}")
        given.update(zip(fields, positional))
        for name, annotation in fields.items():
            setattr(self, name, given[name] if name in given else self._default(name, annotation))

    def _default(self, name: str, annotation: Any) -> Any:
        default = getattr(type(self), name, ...)
        if isinstance(default, dataclasses.Field):
            if default.default_factory is not dataclasses.MISSING:
                return default.default_factory()
            default = ... if default.default is dataclasses.MISSING else default.default
        if isinstance(default, FieldInfo):
            default = default.default
        if default is not ...:
            return copy.deepcopy(default)
        if type(None) in typing.get_args(annotation):
            return None
        raise TypeError(f"{type(self).__name__} is missing its field {name!r}")

    def model_dump(self, **_: Any) -> builtins.dict[str, Any]:
        return {name: getattr(self, name) for name in fields_of(type(self))}

    dict = model_dump

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseModel) and type(other) is type(self) and other.model_dump() == self.model_dump()

    __hash__ = None  # type: ignore[assignment]  # a record can be changed

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.model_dump().items())
        return f"{type(self).__name__}({fields})"


def fields_of(record: type) -> dict[str, Any]:
    """The annotated fields of a record class, inherited ones first; read once, a model may make one for each token."""
    known: dict[str, Any] | None = record.__dict__.get("__cog_fields__")
    if known is None:
        known = {
            name: annotation
            for name, annotation in _hints(record).items()
            if not name.startswith("_") and typing.get_origin(annotation) is not ClassVar
        }
        setattr(record, "__cog_fields__", known)  # noqa: B010  a type has no such attribute to the type checker
    return known


def _hints(record: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(record)
    except Exception:  # an annotation may name what exists for type checkers only
        hints: dict[str, Any] = {}
        for base in reversed(record.__mro__):
            hints.update(getattr(base, "__annotations__", {}))
        return hints
