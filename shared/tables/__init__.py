"""The rows.

Columns and keys only: no query, no rule. Who may change a status stands in `lifecycle`.
"""

from shared.tables.accounts import Account, Token
from shared.tables.base import NAMING, Json, Table, Timestamp
from shared.tables.deployments import Deployment, Release
from shared.tables.files import File
from shared.tables.models import CollectedModel, Collection, Model, Version
from shared.tables.predictions import Prediction
from shared.tables.status_changes import StatusChange
from shared.tables.webhooks import (
    DONE_WITH,
    GIVEN_UP,
    OPEN,
    PausedAddress,
    WebhookAttempt,
    WebhookEndpoint,
    WebhookMessage,
)
from shared.tables.workers import Leadership, Worker

__all__ = [
    "DONE_WITH",
    "GIVEN_UP",
    "NAMING",
    "OPEN",
    "Account",
    "CollectedModel",
    "Collection",
    "Deployment",
    "File",
    "Json",
    "Leadership",
    "Model",
    "PausedAddress",
    "Prediction",
    "Release",
    "StatusChange",
    "Table",
    "Timestamp",
    "Token",
    "Version",
    "WebhookAttempt",
    "WebhookEndpoint",
    "WebhookMessage",
    "Worker",
]
