"""Models on the wire.

The shapes are Replicate's; a model's files belong to its versions.
"""

from datetime import datetime

from pydantic import BaseModel

from shared.contract.page import Page
from shared.contract.predictions import Prediction
from shared.contract.versions import Version
from shared.contract.vocabulary import Visibility


class Model(BaseModel):
    """A model as clients see it."""

    url: str
    owner: str
    name: str
    description: str | None
    visibility: Visibility
    is_official: bool
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    run_count: int
    cover_image_url: str | None
    default_example: Prediction | None
    latest_version: Version | None
    created_at: datetime


class ModelPage(Page[Model]):
    """Models, newest first."""
