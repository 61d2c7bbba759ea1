"""Completes and converts the input of one prediction.

Limits and choices are not checked here: the service checked them against the schema.
"""

from __future__ import annotations

import copy
from typing import Any

from pinion_runtime.failures import InputError
from pinion_runtime.signature import Parameter, Signature


def arguments_of(signature: Signature, given: dict[str, Any]) -> dict[str, Any]:
    """The keyword arguments of predict(). Keys it does not know are dropped, unless it takes **kwargs."""
    arguments = dict(given) if signature.takes_any_key else {}
    for parameter in signature.parameters:
        arguments[parameter.name] = _argument(parameter, given.get(parameter.name))
    return arguments


def _argument(parameter: Parameter, value: Any) -> Any:
    if value is None:
        value = _default(parameter)
    if value is None:
        return None
    try:
        return parameter.kind.convert(value)
    except (ValueError, TypeError, OSError) as error:
        raise InputError(f"input.{parameter.name}: {error}") from error


def _default(parameter: Parameter) -> Any:
    if not parameter.field.is_required:
        return copy.deepcopy(parameter.field.default)  # a list must not be shared by predictions
    if parameter.kind.is_nullable:
        return None
    raise InputError(f"input.{parameter.name}: is required")
