"""`BaseModel` where the model's environment has pydantic 1 or 2: all that pydantic does, and what newer Cog allows.

Newer Cog makes a dataclass of a record: it takes its fields by position, of any type, and checks none of them. So a
value is converted where that is possible, and else kept as it is.
"""

from __future__ import annotations

import typing
from typing import Any, Callable

import pydantic

_IS_MODERN = not pydantic.VERSION.startswith("1.")


class BaseModel(pydantic.BaseModel):
    if _IS_MODERN:
        model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())

        @pydantic.field_validator("*", mode="wrap")
        @classmethod
        def _convert_if_possible(cls, value: Any, convert: Callable[[Any], Any]) -> Any:
            try:
                return convert(value)
            except pydantic.ValidationError:
                return value
    else:

        class Config:
            arbitrary_types_allowed = True

    def __init_subclass__(cls, *, auto_dataclass: bool = True, **keywords: Any) -> None:
        """`auto_dataclass` is accepted because Cog has it; here a record is never a dataclass."""
        super().__init_subclass__(**keywords)

    def __init__(self, *positional: Any, **given: Any) -> None:
        fields = _fields(type(self))
        if len(positional) > len(fields):
            raise TypeError(f"{type(self).__name__} takes {len(fields)} values, got {len(positional)}")
        missing = {
            name: None for name, (annotation, is_required) in fields.items() if is_required and _may_be_none(annotation)
        }
        super().__init__(**{**missing, **dict(zip(fields, positional)), **given})


def _fields(record: Any) -> dict[str, tuple[Any, bool]]:
    """By name the annotation, and whether there is no default."""
    if _IS_MODERN:
        return {name: (field.annotation, field.is_required()) for name, field in record.model_fields.items()}
    return {name: (field.outer_type_, bool(field.required)) for name, field in record.__fields__.items()}


def _may_be_none(annotation: Any) -> bool:
    return type(None) in typing.get_args(annotation)
