"""The JSON on the wire: what clients send and what they get back.

Shapes only; nothing here reads a row or decides anything. Field names and values are those of Replicate's HTTP API.
"""

from shared.contract.account import Account, WebhookSecret
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
from shared.contract.trainings import Training, TrainingPage, TrainingRequest
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
    Kind,
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
    "File",
    "FilePage",
    "FileUrls",
    "Holding",
    "InvalidField",
    "Kind",
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
    "Residence",
    "Scope",
    "Status",
    "Training",
    "TrainingPage",
    "TrainingRequest",
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
