"""The words of the contract: what a status, a scope or an event may be called.

The values are what is stored and sent; they never change their spelling.
"""

from enum import StrEnum


class Status(StrEnum):
    """Where a prediction stands; there is no «queued»: waiting and loading are both `starting`."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    ABORTED = "aborted"
    """Ended by its deadline before it began; shown as `canceled` to accounts whose clients do not know it."""


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED, Status.ABORTED})


class Kind(StrEnum):
    """What is done with a version: its predict() is run, or its train(), which makes a new version."""

    PREDICTION = "prediction"
    TRAINING = "training"


class VersionStatus(StrEnum):
    """Where a pushed version stands; only a ready one can be run, and a removed one is shown to nobody."""

    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"
    REMOVED = "removed"


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


class Rerun(StrEnum):
    """When a prediction is run again that its worker was lost with, or had to leave when it was stopped."""

    NEVER = "never"
    BEFORE_OUTPUT = "before_output"
    ALWAYS = "always"


class AccountType(StrEnum):
    """Who an account stands for."""

    USER = "user"
    ORGANIZATION = "organization"


class Scope(StrEnum):
    """What a token may be used for; none includes another. Files go with the predictions they are made for."""

    PREDICTIONS_READ = "predictions:read"
    PREDICTIONS_WRITE = "predictions:write"
    TRAININGS_READ = "trainings:read"
    TRAININGS_WRITE = "trainings:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    DEPLOYMENTS_READ = "deployments:read"
    DEPLOYMENTS_WRITE = "deployments:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"


class WebhookEvent(StrEnum):
    """What a webhook can tell of; `completed` is the one that is owed and retried."""

    START = "start"
    OUTPUT = "output"
    LOGS = "logs"
    COMPLETED = "completed"
