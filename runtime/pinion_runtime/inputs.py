"""Completes and converts the input of one prediction.

Limits and choices are not checked here: the service checked them against the schema.
"""

from __future__ import annotations

import copy
from typing import Any, Sequence

import cog
from pinion_runtime.failures import InputError
from pinion_runtime.signature import Parameter, Signature

_UNFIT = (ValueError, TypeError, OSError, OverflowError)


def arguments_of(signature: Signature, given: dict[str, Any], files: Sequence[str] = ()) -> dict[str, Any]:
    """The keyword arguments of predict(). Keys it does not know are dropped, unless it takes **kwargs.

    `files` are the names of the values that are paths of local files.
    """
    given = copy.deepcopy(given) if files else given
    for name in files:
        _make_path(given, name)
    arguments = dict(given) if signature.takes_any_key else {}
    for parameter in signature.parameters:
        arguments[parameter.name] = _argument(parameter, given)
    return arguments


def _make_path(given: Any, name: str) -> None:
    *way, last = [int(step) if step.isdigit() else step for step in name.split(".")]
    for step in way:
        given = given[step]
    given[last] = cog.Path(given[last])


def _argument(parameter: Parameter, given: dict[str, Any]) -> Any:
    value = given.get(parameter.name)
    if value is None:
        is_null_meant = parameter.name in given and parameter.kind.is_nullable
        return None if is_null_meant else _default(parameter)
    try:
        return parameter.kind.convert(value)
    except _UNFIT as error:
        raise InputError(f"input.{parameter.name}: {error}") from error


def _default(parameter: Parameter) -> Any:
    """What the model's author wrote is not checked: it is converted where that is possible, else passed as it is."""
    if parameter.field.is_required:
        if parameter.kind.is_nullable:
            return None
        raise InputError(f"input.{parameter.name}: is required")
    default = copy.deepcopy(parameter.field.default)  # a list must not be shared by predictions
    if default is None:
        return None
    try:
        return parameter.kind.convert(default)
    except _UNFIT:
        return default
