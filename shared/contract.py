"""The JSON on the wire: what clients send and what they get back.

Shapes only; nothing here reads a row or decides anything. Field names and values are those of Replicate's HTTP API.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Status(StrEnum):
    """Where a prediction stands; there is no «queued»: waiting and loading are both `starting`."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})


class VersionStatus(StrEnum):
    """Where a pushed version stands; only a ready one can be run."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class Residence(StrEnum):
    """Where a version stands with one worker: what its next prediction would meet there."""

    COLD = "cold"
    STARTING = "starting"
    WARM = "warm"
    BUSY = "busy"
    UNHEALTHY = "unhealthy"


class Visibility(StrEnum):
    """Who may see and run a model: everybody with an account, or its owner."""

    PUBLIC = "public"
    PRIVATE = "private"


class AccountType(StrEnum):
    """Who an account stands for."""

    USER = "user"
    ORGANIZATION = "organization"


class Scope(StrEnum):
    """What a token may be used for; none includes another. Files go with the predictions they are made for."""

    PREDICTIONS_READ = "predictions:read"
    PREDICTIONS_WRITE = "predictions:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    WEBHOOKS_READ = "webhooks:read"


class WebhookEvent(StrEnum):
    """What a webhook can tell of; `completed` is the one that is owed and retried."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"


class PredictionRequest(BaseModel):
    """Body of `POST /models/{owner}/{name}/predictions`."""

    model_config = ConfigDict(extra="forbid")

    input: dict[str, Any] = Field(examples=[{"prompt": "spell: 4217"}])
    webhook: str | None = None
    webhook_events_filter: list[WebhookEvent] | None = None
    webhook_completed: str | None = Field(default=None, json_schema_extra={"deprecated": True})
    stream: bool | None = Field(default=None, json_schema_extra={"deprecated": True})


class VersionPredictionRequest(PredictionRequest):
    """Body of `POST /predictions`."""

    version: str = Field(examples=["pinion/tiny-t5"])


class PredictionUrls(BaseModel):
    """Where to read, cancel, look at and stream a prediction; `stream` only if the model can."""

    get: str
    cancel: str
    web: str
    stream: str | None = None


class Prediction(BaseModel):
    """A prediction as clients see it."""

    id: str
    model: str
    version: str
    input: dict[str, Any] | None
    output: Any = None
    logs: str
    error: str | None
    status: Status
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    data_removed: bool
    metrics: dict[str, Any] | None = None
    urls: PredictionUrls
    source: str = "api"
    webhook: str | None = None
    webhook_events_filter: list[WebhookEvent] | None = None


class PredictionPage(BaseModel):
    """Newest first; `next` and `previous` are whole addresses."""

    next: str | None
    previous: str | None
    results: list[Prediction]


class Holding(BaseModel):
    """A version with one worker (ours). `memory` is in bytes, by the worker's memories; `logs` only for its owner.

    `logs` is the end of what its process printed outside predictions. `failures` are those in a row.
    """

    worker: str
    host: str
    model: str
    version: str
    state: Residence
    pid: int | None
    memory: dict[str, int]
    running: int
    concurrency: int
    last_used_at: datetime
    failures: int
    error: str | None
    retry_at: datetime | None
    logs: str | None


class MemoryUse(BaseModel):
    """A memory of a worker, `host` or a GPU: what models may take together, and what they take."""

    name: str
    budget_bytes: int
    taken_bytes: int


class Worker(BaseModel):
    """A prediction worker that is alive (ours)."""

    id: str
    host: str
    created_at: datetime
    last_seen_at: datetime
    memory: list[MemoryUse]
    models: list[Holding]


class WorkerList(BaseModel):
    """All of them; there are not many."""

    results: list[Worker]


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


class VersionPage(BaseModel):
    """Newest first."""

    next: str | None
    previous: str | None
    results: list[Version]


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


class ModelPage(BaseModel):
    """Newest first."""

    next: str | None
    previous: str | None
    results: list[Model]


class FileUrls(BaseModel):
    """Where to read about a file, which is also what to give as an input, and where to download it (ours)."""

    get: str
    download: str


class File(BaseModel):
    """An uploaded file as its owner sees it."""

    id: str
    name: str
    content_type: str
    size: int
    etag: str
    checksums: dict[str, str]
    metadata: dict[str, Any]
    created_at: datetime
    expires_at: datetime | None
    urls: FileUrls


class FilePage(BaseModel):
    """Newest first."""

    next: str | None
    previous: str | None
    results: list[File]


class Account(BaseModel):
    """Whose token it is."""

    type: AccountType
    username: str
    name: str
    github_url: str | None = None
    avatar_url: str | None = None


class WebhookSecret(BaseModel):
    """The key that signs the account's webhooks."""

    key: str


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
