"""Errors on the wire.

Every route answers with these and no other.
"""

from pydantic import BaseModel


class InvalidField(BaseModel):
    """One thing that is wrong with an input."""

    type: str
    field: str
    description: str


class Problem(BaseModel):
    """Every error, as application/problem+json."""

    title: str
    detail: str
    status: int
    invalid_fields: list[InvalidField] | None = None
    retry_after: int | None = None
