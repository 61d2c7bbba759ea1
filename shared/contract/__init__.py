"""The JSON on the wire: what clients send and what they get back.

Shapes only; nothing here reads a row or decides anything. Field names and values are those of Replicate's HTTP API.
"""

from shared.contract.account import Account, WebhookSecret
from shared.contract.collections import Collection, CollectionItem, CollectionPage
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
from shared.contract.models import ExampleRequest, Model, ModelCreate, ModelPage, ModelUpdate
from shared.contract.predictions import (
    Prediction,
    PredictionPage,
    PredictionRequest,
    PredictionUrls,
    VersionPredictionRequest,
)
from shared.contract.problems import InvalidField, Problem
from shared.contract.search import FoundCollection, FoundMetadata, FoundModel, FoundPage, SearchResult
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
    "Collection",
    "CollectionItem",
    "CollectionPage",
    "Configuration",
    "Deployment",
    "DeploymentChange",
    "DeploymentPage",
    "DeploymentRequest",
    "ExampleRequest",
    "File",
    "FilePage",
    "FileUrls",
    "FoundCollection",
    "FoundMetadata",
    "FoundModel",
    "FoundPage",
    "Hardware",
    "Holding",
    "InvalidField",
    "Kind",
    "LinkedFolder",
    "MemoryUse",
    "MissingContent",
    "MissingContents",
    "Model",
    "ModelCreate",
    "ModelPage",
    "ModelUpdate",
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
    "SearchResult",
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
