"""The names a model may import from `cog`, of both generations of Cog.

Nothing runs here: loading, schema and predictions live in pinion_runtime. Python 3.8 and up, and standard library only,
until a model asks for BaseModel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cog.decorators import concurrent, streaming
from cog.exceptions import CancelationException, CancellationException, ExperimentalFeatureWarning
from cog.fields import FieldInfo, Input
from cog.predictor import BasePredictor, BaseRunner
from cog.scope import Scope, current_scope, emit_metric
from cog.types import (
    AsyncConcatenateIterator,
    ConcatenateIterator,
    File,
    Opaque,
    Path,
    Secret,
    URLFile,
    URLPath,
)

if TYPE_CHECKING:
    from cog.model import BaseModel

# Models compare it; this is the last Cog whose Python surface older models were written for.
__version__ = "0.16.12"

__all__ = [
    "AsyncConcatenateIterator",
    "BaseModel",
    "BasePredictor",
    "BaseRunner",
    "CancelationException",
    "CancellationException",
    "ConcatenateIterator",
    "ExperimentalFeatureWarning",
    "FieldInfo",
    "File",
    "Input",
    "Opaque",
    "Path",
    "Scope",
    "Secret",
    "URLFile",
    "URLPath",
    "__version__",
    "concurrent",
    "current_scope",
    "emit_metric",
    "streaming",
]


def __getattr__(name: str) -> Any:
    """BaseModel only when it is asked for: it brings pydantic, which is slow to import."""
    if name != "BaseModel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cog.model import BaseModel

    return BaseModel
