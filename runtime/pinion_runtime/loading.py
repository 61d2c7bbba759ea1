"""Loads the model a reference names: "predict.py:Predictor", a class or a function.

Nothing is run here beyond the import and `__init__`; setup() and predict() are called by serving.py.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import cog
from pinion_runtime.failures import ModelError
from pinion_runtime.kinds import kind_of
from pinion_runtime.signature import Signature, read_signature

_USUAL_NAMES = ("Runner", "Predictor")


class Model:
    """A loaded model: its predict function, what the signature says, and its setup if there is one."""

    def __init__(self, predict: Callable[..., Any], setup: Callable[..., Any] | None = None) -> None:
        self.predict = predict
        self.signature: Signature = read_signature(predict)
        self._setup = setup

    def setup(self) -> Any:
        """Returns an awaitable when setup() is async."""
        if self._setup is None:
            return None
        parameters = inspect.signature(self._setup).parameters
        if "weights" not in parameters:
            return self._setup()
        return self._setup(weights=_weights(parameters["weights"].annotation))


def load(reference: str) -> Model:
    file, _, name = reference.partition(":")
    target = _find(_import(file), name, file)
    if not inspect.isclass(target):
        return Model(target)
    instance = target()
    methods = [method for method in ("predict", "run") if callable(getattr(instance, method, None))]
    if len(methods) != 1:
        found = "both predict() and run()" if methods else "neither predict() nor run()"
        raise ModelError(f"{target.__name__} in {file} has {found}; a model has exactly one of them.")
    return Model(getattr(instance, methods[0]), getattr(instance, "setup", None))


def _import(file: str) -> ModuleType:
    path = Path(file).resolve()
    if not path.is_file():
        raise ModelError(f"cog.yaml names {file}, but the model has no such file.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"cog.yaml names {file}, which is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pickle and dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, name: str, file: str) -> Any:
    for candidate in (name,) if name else _USUAL_NAMES:
        if callable(getattr(module, candidate, None)):
            return getattr(module, candidate)
    raise ModelError(f"{file} has no class or function named {name or ' or '.join(_USUAL_NAMES)}.")


def _weights(annotation: Any) -> Any:
    """COG_WEIGHTS, else the folder or file `weights` of the model, else None; converted as setup() asks."""
    place = os.environ.get("COG_WEIGHTS") or ("weights" if os.path.exists("weights") else None)
    wanted = {"Path": cog.Path, "File": cog.File, "str": str}.get(_bare_name(annotation))
    if place is None or wanted is None:
        return place
    return kind_of(wanted).convert(place)


def _bare_name(annotation: Any) -> str:
    """`Path` of Path, cog.Path, "Path", Optional[Path] and Path | None."""
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    inner = text.replace("Optional[", "").replace("]", "").split("|")[0]
    return inner.strip().rpartition(".")[2]
