"""Deployments on the wire, and the hardware they may run on.

What clients send and get; the rules between the fields stand in `shared/deployments.py`.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.account import Account
from shared.contract.page import Page

MinInstances = Annotated[int, Field(ge=0, le=5)]
MaxInstances = Annotated[int, Field(ge=0, le=20)]


class DeploymentRequest(BaseModel):
    """Body of `POST /deployments`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(examples=["number-words"])
    model: str = Field(examples=["pinion/tiny-t5"])
    version: str
    hardware: str = Field(examples=["cpu"])
    min_instances: MinInstances
    max_instances: MaxInstances


class DeploymentChange(BaseModel):
    """Body of `PATCH /deployments/{owner}/{name}`; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    version: str | None = None
    hardware: str | None = None
    min_instances: MinInstances | None = None
    max_instances: MaxInstances | None = None


class Configuration(BaseModel):
    """On what it runs, and how many processes each worker with that hardware keeps at least and at most."""

    hardware: str
    min_instances: int
    max_instances: int


class Release(BaseModel):
    """What a deployment is since its last change; `number` counts up from 1."""

    number: int
    model: str
    version: str
    created_at: datetime
    created_by: Account
    configuration: Configuration


class Deployment(BaseModel):
    """A deployment as its owner sees it."""

    owner: str
    name: str
    current_release: Release


class DeploymentPage(Page[Deployment]):
    """Deployments, newest first."""


class Hardware(BaseModel):
    """A kind of device that a living worker has."""

    sku: str
    name: str
