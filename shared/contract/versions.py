"""Versions on the wire, and how their files are pushed.

How a push goes is ours; Replicate takes Docker images instead.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.page import Page
from shared.contract.vocabulary import VersionStatus, Visibility
from shared.contract.workers import Holding


class Version(BaseModel):
    """A version of a model; `status`, `logs` and `error` tell how its push went (ours, not Replicate's).

    Where one version is read, or one model, it is told besides where it is up: warm where it answers at once.
    """

    id: str
    created_at: datetime
    cog_version: str
    openapi_schema: dict[str, Any] | None
    status: VersionStatus
    logs: str
    error: str | None
    is_warm: bool | None = None
    workers: list[Holding] | None = None


class PushedFile(BaseModel):
    """One file of a model's folder; `path` is relative to it, with slashes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    size: int
    sha256: str
    executable: bool = False


class LinkedFolder(BaseModel):
    """A folder of the server's own host, to be served as it lies there.

    That it is the same host is shown by a file there, `witness`, which holds `nonce`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    witness: str
    nonce: str = Field(min_length=32, max_length=128)


class Push(BaseModel):
    """Body of `POST /models/{owner}/{name}/versions` (ours): what the model's folder holds."""

    model_config = ConfigDict(extra="forbid", strict=True)

    files: list[PushedFile]
    link: LinkedFolder | None = None
    visibility: Visibility | None = None
    """Of the model from now on; None leaves it as it is, and a new one private."""


class MissingContent(BaseModel):
    """A content to send before the version can be made; `received` bytes of it are here already."""

    sha256: str
    size: int
    received: int


class MissingContents(BaseModel):
    """What the server lacks: send each to `PUT /contents/{sha256}`, then push again."""

    missing: list[MissingContent]


class ReceivedContent(BaseModel):
    """How many bytes of a content are here."""

    received: int


class VersionPage(Page[Version]):
    """Versions, newest first."""
