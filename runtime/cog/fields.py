"""`Input(...)`: what a model says about one parameter besides its type.

Nothing is checked here; pinion_runtime turns it into schema and conversion.
"""

from __future__ import annotations

import enum
from typing import Any, Iterable


class FieldInfo:
    """The keywords of one `Input()`. A default of `...` means that the parameter is required."""

    def __init__(self, default: Any = ..., **about: Any) -> None:
        self.default = _plain(default)
        self.description: str | None = about.get("description")
        self.ge: float | None = about.get("ge")
        self.le: float | None = about.get("le")
        self.min_length: int | None = about.get("min_length")
        self.max_length: int | None = about.get("max_length")
        self.regex: str | None = about.get("regex")
        choices: Iterable[str | int] | None = about.get("choices")
        self.choices = None if choices is None else [_plain(choice) for choice in choices]
        self.deprecated: bool | None = about.get("deprecated")
        self.accept: str | None = about.get("accept")

    @property
    def is_required(self) -> bool:
        return self.default is ...


def _plain(value: Any) -> Any:
    """What a client can send: the value of an enumeration's member, and Python's own kind of text or number."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    is_of_numpy = type(value).__module__ == "numpy" and hasattr(value, "item") and not value.shape
    return value.item() if is_of_numpy else value


def Input(
    default: Any = ...,
    description: str | None = None,
    ge: float | None = None,
    le: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    regex: str | None = None,
    choices: Iterable[str | int] | None = None,
    deprecated: bool | None = None,
    accept: str | None = None,
) -> Any:
    return FieldInfo(
        default,
        description=description,
        ge=ge,
        le=le,
        min_length=min_length,
        max_length=max_length,
        regex=regex,
        choices=choices,
        deprecated=deprecated,
        accept=accept,
    )
