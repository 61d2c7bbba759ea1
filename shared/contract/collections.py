"""Collections on the wire.

How they are made is no part of it: Replicate's API has no operation for that.
"""

from pydantic import BaseModel

from shared.contract.models import Model
from shared.contract.page import Page


class CollectionItem(BaseModel):
    """A collection as lists show it."""

    name: str
    slug: str
    description: str


class Collection(CollectionItem):
    """A collection with the models of it that the caller may see; `full_description` is Markdown."""

    full_description: str | None
    models: list[Model]


class CollectionPage(Page[CollectionItem]):
    """Collections, newest first."""
