"""Takes the secret inputs of a prediction out of the texts we write about it.

What the model itself prints or returns is its own affair and is not looked at.
"""

from __future__ import annotations

import json
from typing import Any

from cog import Secret
from pinion_runtime.signature import Signature

_SHOWN = "*" * 10


def secrets_of(signature: Signature, given: dict[str, Any]) -> list[str]:
    """The plain values, also as they look in a repr or in JSON; the longest first, one may be a part of another."""
    forms: set[str] = set()
    for parameter in signature.parameters:
        if parameter.is_secret:
            for plain in _plain([given.get(parameter.name), parameter.field.default]):
                forms |= {plain, repr(plain)[1:-1], json.dumps(plain)[1:-1]}
    return sorted(forms - {""}, key=len, reverse=True)


def redacted(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _SHOWN)
    return text


def _plain(values: list[Any]) -> list[str]:
    found: list[str] = []
    for value in values:
        if isinstance(value, list):
            found += _plain(value)
        elif isinstance(value, Secret):
            found += _plain([value.get_secret_value()])
        elif isinstance(value, str):
            found.append(value)
    return found
