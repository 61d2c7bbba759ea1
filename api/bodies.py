"""Bodies in their shapes: what came in checked, what goes out written.

No route stands here, and what a value means is not asked.
"""

from typing import Any, TypeVar

import msgspec
from fastapi import Response
from pydantic import BaseModel, ValidationError

from shared.errors import InvalidRequest, Problem

Shape = TypeVar("Shape", bound=BaseModel)

_PROBLEM_TYPES = {
    "missing": "required",
    "extra_forbidden": "additional_property_not_allowed",
    "enum": "enum",
    "greater_than_equal": "number_gte",
    "less_than_equal": "number_lte",
    "string_pattern_mismatch": "pattern",
    "string_too_long": "string_lte",
    "value_error": "format",
}


def checked(shape: type[Shape], body: dict[str, Any]) -> Shape:
    """A body in its shape; raises InvalidRequest with every problem in Replicate's form."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise InvalidRequest([_problem(dict(entry)) for entry in error.errors(include_input=False)]) from error


def _problem(entry: dict[str, Any]) -> Problem:
    name, *deeper = (str(part) for part in entry["loc"])
    if entry["type"] == "missing":
        return Problem("required", "", f"{name} is required")
    if entry["type"] == "extra_forbidden":
        return Problem("additional_property_not_allowed", "", f"Additional property {name[:100]} is not allowed")
    kind = _PROBLEM_TYPES.get(entry["type"], "invalid_type")
    return Problem(kind, ".".join([name, *deeper]), entry["msg"].removeprefix("Value error, "))


def answer(body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON as it stands; building a response model first would cost more than the query."""
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")
