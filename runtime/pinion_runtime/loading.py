"""Loads the model a reference names: "predict.py:Predictor", a class or a function.

Nothing is run here beyond the import and `__init__`; setup() and predict() are called by serving.py.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import typing
from pathlib import Path, PurePath
from types import ModuleType
from typing import Any, Callable

import cog
from pinion_runtime.failures import ModelError
from pinion_runtime.signature import Signature, read_signature


class Model:
    """A loaded model: its predict function (or run, or train), what the signature says, and the rest of its class."""

    def __init__(self, predict: Callable[..., Any], instance: Any = None, method: str = "") -> None:
        self.instance = instance
        self._predict, self._method = predict, method
        self.signature: Signature = read_signature(predict)
        self.healthcheck: Callable[[], Any] | None = _own(instance, "healthcheck")
        self._setup = _own(instance, "setup")

    @property
    def predict(self) -> Callable[..., Any]:
        """As it is by now: setup() may have put a compiled one in its place."""
        return getattr(self.instance, self._method) if self._method else self._predict

    def setup(self) -> Any:
        """Returns an awaitable when setup() is async."""
        if self._setup is None:
            return None
        parameters = inspect.signature(self._setup).parameters
        if "weights" not in parameters:
            return self._setup()
        return self._setup(weights=_weights(_hint(self._setup, parameters["weights"])))


def load(reference: str) -> Model:
    return _load(reference, ("Runner", "Predictor"), ("predict", "run"), "neither predict() nor run()")


def load_training(reference: str) -> Model:
    return _load(reference, ("train",), ("train",), "no train()")


def _load(reference: str, usual_names: tuple[str, ...], methods: tuple[str, ...], lacking: str) -> Model:
    """Of a class that has several of the methods the first one is meant: a predictor may have a helper called run()."""
    file, _, name = reference.partition(":")
    target = _find(_import(file), (name,) if name else usual_names, file)
    if not inspect.isclass(target):
        return Model(target)
    instance = target()
    for method in methods:
        if callable(_own(instance, method)):
            return Model(getattr(instance, method), instance, method)
    raise ModelError(f"{target.__name__} in {file} has {lacking}.")


def _import(file: str) -> ModuleType:
    path = Path(file).resolve()
    if not path.is_file():
        raise ModelError(f"cog.yaml names {file}, but the model has no such file.")
    known = sys.modules.get(path.stem)
    if known and getattr(known, "__file__", None) == str(path):
        return known  # what is predicted and what is trained stand in one file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"cog.yaml names {file}, which is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pickle and dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, names: tuple[str, ...], file: str) -> Any:
    for name in names:
        if callable(getattr(module, name, None)):
            return getattr(module, name)
    raise ModelError(f"{file} has no class or function named {' or '.join(names)}.")


def _own(instance: Any, name: str) -> Any:
    """What a model has of this name. Its `__getattr__` is not asked: it may know any, or ask what setup() makes."""
    return getattr(instance, name) if inspect.getattr_static(instance, name, None) is not None else None


def _weights(annotation: Any) -> Any:
    """COG_WEIGHTS, else the folder or file `weights` of the model, else None; converted as setup() asks.

    A path behind a URL is not downloaded: most models hand its URL to a downloader of their own.
    """
    place = os.environ.get("COG_WEIGHTS") or ("weights" if os.path.exists("weights") else None)
    if place is None:
        return None
    wanted = [each for each in (annotation, *typing.get_args(annotation)) if isinstance(each, type)]
    if any(issubclass(each, cog.File) for each in wanted):
        return cog.File.validate(place)
    return cog.Path.validate(place) if any(issubclass(each, PurePath) for each in wanted) else place


def _hint(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    try:
        return typing.get_type_hints(function).get(parameter.name)
    except Exception:  # an annotation may name what is not there; then the weights are a text
        return None
