"""The model's cog.yaml: what a start needs of it, and what a model process may see of our environment.

Nothing is started here.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from worker.events import SetupFailed

_REFERENCE = re.compile(r"[^:]+\.py(:[A-Za-z_]\w*)?")
# What a model process may see of our environment. A list of what is allowed, so that a new secret is never on it.
_ENVIRONMENT = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TMPDIR|LD_LIBRARY_PATH|SSL_CERT_(FILE|DIR)|\w+_CA_BUNDLE"
    r"|(HTTPS?|NO|ALL|https?|no|all)_(PROXY|proxy)"
    r"|(LC|CUDA|NVIDIA|NCCL|ROCR|HIP|HSA|HF|TRANSFORMERS|TOKENIZERS|TORCH|PYTORCH|TRITON|OMP|MKL|OPENBLAS|XDG|COG)_\w+"
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in a model's cog.yaml."""

    reference: str
    """`file.py:Name` of the predictor."""
    environment: dict[str, str]
    """The whole environment of the model's process."""
    concurrency: int | None = None
    """Predictions at once, where cog.yaml says it."""
    train: str | None = None
    """`file.py:name` of the training, if there is one."""


def read_manifest(source: Path) -> Manifest:
    """The manifest of a model's folder; raises SetupFailed with a sentence."""
    try:
        content = yaml.safe_load((source / "cog.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SetupFailed("The model has no cog.yaml.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupFailed(f"cog.yaml cannot be read: {error}") from error
    named = [content[key] for key in ("predict", "run") if content.get(key)] if isinstance(content, dict) else []
    if len(named) != 1 or not isinstance(named[0], str) or not _REFERENCE.fullmatch(named[0]):
        raise SetupFailed('cog.yaml must name the predictor, once, like `predict: "predict.py:Predictor"`.')
    environment = _environment(content.get("environment") or [])
    return Manifest(named[0], environment, _concurrency(content.get("concurrency")), _training(content.get("train")))


def _concurrency(said: Any) -> int | None:
    if said is None:
        return None
    most = said.get("max") if isinstance(said, dict) else None
    if type(most) is not int or most < 1:
        raise SetupFailed("`concurrency` in cog.yaml must be like `max: 4`, a whole number from 1.")
    return most


def _training(named: Any) -> str | None:
    if named is not None and not (isinstance(named, str) and _REFERENCE.fullmatch(named)):
        raise SetupFailed('`train` in cog.yaml must be like `train: "train.py:train"`.')
    return named


def _environment(added: Any) -> dict[str, str]:
    if not isinstance(added, list) or not all(isinstance(entry, str) and "=" in entry[1:] for entry in added):
        raise SetupFailed("`environment` in cog.yaml must be a list of NAME=value.")
    allowed = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
    # a Python program that the model starts should print at once, like the model itself
    return {**allowed, "PYTHONUNBUFFERED": "1", **dict(entry.split("=", 1) for entry in added)}
