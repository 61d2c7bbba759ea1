"""The JSON on the wire: what clients send and what they get back.

Shapes only; nothing here reads a row or decides anything. Field names and values are those of Replicate's HTTP API.
"""

from shared.contract.account import Account, WebhookSecret
from shared.contract.deployments import (
    Configuration,
    Deployment,
    DeploymentChange,
    DeploymentPage,
    DeploymentRequest,
    Hardware,
    Release,
)
from shared.contract.files import File, FilePage, FileUrls
from shared.contract.models import Model, ModelPage
from shared.contract.predictions import (
    Prediction,
    PredictionPage,
    PredictionRequest,
    PredictionUrls,
    VersionPredictionRequest,
)
from shared.contract.problems import InvalidField, Problem
from shared.contract.versions import (
    LinkedFolder,
    MissingContent,
    MissingContents,
    Push,
    PushedFile,
    ReceivedContent,
    Version,
    VersionPage,
)
from shared.contract.vocabulary import (
    TERMINAL,
    AccountType,
    Residence,
    Scope,
    Status,
    VersionStatus,
    Visibility,
    WebhookEvent,
)
from shared.contract.workers import Holding, MemoryUse, Worker, WorkerList

__all__ = [
    "TERMINAL",
    "Account",
    "AccountType",
    "Configuration",
    "Deployment",
    "DeploymentChange",
    "DeploymentPage",
    "DeploymentRequest",
    "File",
    "FilePage",
    "FileUrls",
    "Hardware",
    "Holding",
    "InvalidField",
    "LinkedFolder",
    "MemoryUse",
    "MissingContent",
    "MissingContents",
    "Model",
    "ModelPage",
    "Prediction",
    "PredictionPage",
    "PredictionRequest",
    "PredictionUrls",
    "Problem",
    "Push",
    "PushedFile",
    "ReceivedContent",
    "Release",
    "Residence",
    "Scope",
    "Status",
    "Version",
    "VersionPage",
    "VersionPredictionRequest",
    "VersionStatus",
    "Visibility",
    "WebhookEvent",
    "WebhookSecret",
    "Worker",
    "WorkerList",
]
