"""Trainings on the wire: predictions of a version's train(), whose output is a new version.

Shapes only; what becomes of one is the worker's business.
"""

from typing import Any

from pydantic import Field

from shared.contract.page import Page
from shared.contract.predictions import Prediction, PredictionRequest


class TrainingRequest(PredictionRequest):
    """Body of `POST /models/{owner}/{name}/versions/{id}/trainings`."""

    input: dict[str, Any] = Field(default_factory=dict, examples=[{"data": "https://example.com/data.zip"}])
    destination: str = Field(examples=["pinion/tuned"])


class Training(Prediction):
    """A training as clients see it; once it has succeeded `output` holds `version`, `owner/name:id`, and `weights`."""

    destination: str


class TrainingPage(Page[Training]):
    """Trainings, newest first."""
