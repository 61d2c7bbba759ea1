"""One page of a list on the wire.

Every list has this shape; clients follow `next` as it is.
"""

from typing import Generic, TypeVar

from pydantic import BaseModel

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Newest first; `next` and `previous` are whole addresses."""

    next: str | None
    previous: str | None
    results: list[Item]
