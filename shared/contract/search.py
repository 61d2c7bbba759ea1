"""Answers to a search on the wire.

Of what Replicate tells, tags and generated descriptions are empty here.
"""

from pydantic import BaseModel

from shared.contract.models import Model


class FoundMetadata(BaseModel):
    """What a search knows of a model besides: `score` is above 0 and up to 1, the best match first."""

    generated_description: str | None
    tags: list[str]
    score: float | None


class FoundModel(BaseModel):
    """A model that fits."""

    model: Model
    metadata: FoundMetadata


class FoundCollection(BaseModel):
    """A collection that fits; `models` are `owner/name`."""

    name: str
    slug: str
    description: str
    models: list[str] | None


class FoundPage(BaseModel):
    """A page of documentation that fits; there are none here."""

    name: str
    href: str


class SearchResult(BaseModel):
    """Answer of `GET /search`."""

    query: str
    models: list[FoundModel]
    collections: list[FoundCollection]
    pages: list[FoundPage]
