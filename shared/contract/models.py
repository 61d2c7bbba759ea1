"""Models on the wire, and how their owners describe them.

The shapes are Replicate's, but for what is said to be ours; a model's files belong to its versions.
"""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.contract.page import Page
from shared.contract.predictions import Prediction
from shared.contract.versions import Version
from shared.contract.vocabulary import Rerun, Visibility

_LINK_CHARACTERS_MAX = 2048
_NO_LINK = "must be an http or https URL of up to 2048 characters"


def _checked_link(url: str) -> str:
    """People click on it and browsers load it; nothing here ever fetches it."""
    try:
        parts = urlsplit(url)
        is_link = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_link = False
    if not is_link or not url.isprintable() or " " in url or len(url) > _LINK_CHARACTERS_MAX:
        raise ValueError(_NO_LINK)
    return url


Link = Annotated[str, AfterValidator(_checked_link)]
Description = Annotated[str, Field(max_length=4096)]
Readme = Annotated[str, Field(max_length=500_000)]


def _without_default(schema: dict[str, Any]) -> None:
    """Nothing stands in for what a change does not say."""
    schema.pop("default")


class Model(BaseModel):
    """A model as clients see it."""

    url: str
    owner: str
    name: str
    description: str | None
    visibility: Visibility
    rerun: Rerun
    """Ours: when a prediction is run again whose worker is gone."""
    is_official: bool
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    weights_url: str | None
    run_count: int
    cover_image_url: str | None
    default_example: Prediction | None
    latest_version: Version | None
    created_at: datetime


class ModelPage(Page[Model]):
    """Models, in the order that was asked for."""


class ModelCreate(BaseModel):
    """Body of `POST /models`."""

    model_config = ConfigDict(extra="forbid")

    owner: str = Field(examples=["pinion"])
    name: str = Field(examples=["my-model"])
    visibility: Visibility
    hardware: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["cpu"])
    """A SKU like those of `GET /hardware`; noted, while a worker runs the model where it fits."""
    rerun: Rerun = Rerun.BEFORE_OUTPUT
    """When a prediction is run again whose worker is gone (ours)."""
    description: Description | None = None
    github_url: Link | None = None
    paper_url: Link | None = None
    license_url: Link | None = None
    cover_image_url: Link | None = None


class ModelUpdate(BaseModel):
    """Body of `PATCH /models/{owner}/{name}`: what is to change; null takes it away.

    `visibility` and `rerun`, which cannot be taken away, and `cover_image_url` are ours here.
    """

    model_config = ConfigDict(extra="forbid")

    description: Description | None = None
    readme: Readme | None = None
    github_url: Link | None = None
    paper_url: Link | None = None
    license_url: Link | None = None
    weights_url: Link | None = None
    cover_image_url: Link | None = None
    # The defaults of these are never used: only what was given is written.
    visibility: Annotated[Visibility, Field(json_schema_extra=_without_default)] = Visibility.PRIVATE
    rerun: Annotated[Rerun, Field(json_schema_extra=_without_default)] = Rerun.BEFORE_OUTPUT


class ExampleRequest(BaseModel):
    """Body of `POST /models/{owner}/{name}/examples` (ours)."""

    model_config = ConfigDict(extra="forbid")

    prediction: str = Field(examples=["hdwst0bb05rgp0cf0p29mzk2am"])
    """The id of a prediction of yours, of this model, that has succeeded."""
