"""Secret inputs, as `cog.Secret` declares them: how a schema says so, and how an input is shown without them.

Nothing is hidden from the model, and what it prints or returns is not looked at.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

_MASK = "*" * 10
"""What Cog prints of a secret."""


def is_secret(schema: Mapping[str, Any]) -> bool:
    """Whether a value of exactly this schema is one; what lies below is not looked at."""
    return schema.get("format") == "password" or schema.get("x-cog-secret") is True


def masked(input: Mapping[str, Any], secrets: Collection[str] | None) -> Mapping[str, Any]:
    """An input as it may be shown to anybody; `secrets` are the names of those that are declared secret, if any are."""
    return changed(input, secrets, lambda value: _MASK)


def changed(
    input: Mapping[str, Any], secrets: Collection[str] | None, change: Callable[[Any], Any]
) -> Mapping[str, Any]:
    """An input with something else for each secret; lists keep their length, and null stays: neither is the secret."""

    def deep(value: Any) -> Any:
        if isinstance(value, list):
            return [deep(item) for item in value]
        return None if value is None else change(value)

    return {name: deep(value) if name in secrets else value for name, value in input.items()} if secrets else input
