"""Writes the OpenAPI document of a model from its signature, in the shape Cog gave it until 0.16.

Nothing is inspected here that signature.py has not read; the fixed part of the document is in document.py.
"""

from __future__ import annotations

import math
import os
from typing import Any

from cog import FieldInfo
from pinion_runtime.document import RESERVED, document
from pinion_runtime.records import describe_result
from pinion_runtime.signature import Parameter, Signature

_LIMITS = {
    "integer": {"minimum": "ge", "maximum": "le"},
    "number": {"minimum": "ge", "maximum": "le"},
    "string": {"minLength": "min_length", "maxLength": "max_length", "pattern": "regex"},
}


def openapi(signature: Signature, training: Signature | None = None) -> dict[str, Any]:
    """The document of a model; `training` is what its train() says, where there is one."""
    components: dict[str, Any] = {}
    for described, prefix in ((signature, ""), (training, "Training")):
        if described is not None:
            components[f"{prefix}Input"] = _input(described, f"{prefix}Input", components)
            components[f"{prefix}Output"] = describe_result(described, f"{prefix}Output", components)
    return document(components, is_streaming=signature.is_streaming, is_trainable=training is not None)


def _input(signature: Signature, title: str, components: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"title": title, "type": "object", "properties": {}}
    required = []
    for position, parameter in enumerate(signature.parameters):
        described["properties"][parameter.name] = _property(parameter, position, components)
        if parameter.field.is_required and not parameter.kind.is_nullable:
            required.append(parameter.name)
    if required:
        described["required"] = required
    if signature.takes_any_key:
        described["additionalProperties"] = True
    return described


def _property(parameter: Parameter, position: int, components: dict[str, Any]) -> dict[str, Any]:
    kind, field = parameter.kind, parameter.field
    if parameter.choices:
        shape = _choice(parameter, components)
    else:
        shape = {"title": parameter.name.title().replace("_", " "), **kind.schema, **_limits(parameter)}
    extras = {
        "description": field.description,
        "default": _default(parameter),
        "nullable": kind.is_nullable or None,
        "deprecated": field.deprecated,
        "x-cog-accept": field.accept,
        "x-order": position,
    }
    shape.update((key, value) for key, value in extras.items() if _is_expressible(value))
    return shape


def _is_expressible(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _choice(parameter: Parameter, components: dict[str, Any]) -> dict[str, Any]:
    """Choices are a component of their own, named like the parameter; the property refers to it."""
    name, kind = parameter.name, parameter.kind.item or parameter.kind
    choice = {
        "title": name,
        "description": "An enumeration.",
        "enum": parameter.choices,
        "type": kind.schema["type"],
    }
    # the name may be that of another component, or of a parameter of predict() with other choices
    while name in RESERVED or components.setdefault(name, choice) != choice:
        name = f"{name}_choices"
    reference = {"$ref": f"#/components/schemas/{name}"}
    if parameter.kind.item is None:
        return {"allOf": [reference]}
    return {"title": parameter.name.title().replace("_", " "), "type": "array", "items": reference}


def _limits(parameter: Parameter) -> dict[str, Any]:
    schema, field = parameter.kind.schema, parameter.field
    if parameter.kind.item is not None:
        counts = {"minItems": field.min_length, "maxItems": field.max_length}
        of_items = parameter.kind.item.schema
        # the length is that of the list; a range or a pattern can only be that of its items
        of_each = {key: each for key, each in _named_limits(of_items, field).items() if not key.endswith("Length")}
        limits = {key: count for key, count in counts.items() if count is not None}
        return {**limits, "items": {**of_items, **of_each}}
    return _named_limits(schema, field)


def _named_limits(schema: dict[str, Any], field: FieldInfo) -> dict[str, Any]:
    named = _LIMITS.get(schema.get("type", ""), {})
    return {key: getattr(field, name) for key, name in named.items() if _is_expressible(getattr(field, name))}


def _default(parameter: Parameter) -> Any:
    """None when there is none to show; the default of a secret is one."""
    default = parameter.field.default
    if parameter.field.is_required or parameter.kind.schema.get("format") == "password":
        return None
    return os.fspath(default) if isinstance(default, os.PathLike) else default
