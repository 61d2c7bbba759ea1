"""How many predictions a model may run at once: the environment's word, else cog.yaml's, else the decorator's.

Its setup() may find that it is fewer. Running them is the business of serving_async.py and serving_threads.py.
"""

from __future__ import annotations

import inspect
import os
from typing import Any

from pinion_runtime.failures import ModelError
from pinion_runtime.loading import Model

_VARIABLE = "COG_MAX_CONCURRENCY"
_SWITCH = "PINION_BATCH_GENERATE"
_MARK = "__cog_concurrent_max__"
"""Of the decorator, on the function; a setup() that knows better sets it on the predictor."""


def concurrency_of(model: Model, of_manifest: int | None) -> int:
    most = _most(model, of_manifest)
    if most > 1 and not model.signature.is_async and os.environ.get(_SWITCH) == "0":
        print(f"Predictions run one at a time: {_SWITCH} is 0, and predict() is not async.")
        return 1
    return most


def lowered_by_setup(model: Model, most: int) -> int:
    """What it comes to once the model is set up."""
    said = inspect.getattr_static(model.instance, _MARK, most)  # a __getattr__ may know any name
    return min(most, _checked(said, f"setup() has set {_MARK}"))


def _most(model: Model, of_manifest: int | None) -> int:
    said = os.environ.get(_VARIABLE)
    if said:
        return _checked(int(said) if said.strip().isdigit() else 0, f"{_VARIABLE} is {said!r}")
    if of_manifest is not None:
        return of_manifest
    of_decorator = getattr(model.predict, _MARK, 1)
    return _checked(of_decorator, f"@concurrent says max={of_decorator!r}")


def _checked(most: Any, where: str) -> int:
    if type(most) is not int or most < 1:
        raise ModelError(f"{where}; the concurrency of a model is a whole number from 1.")
    return most
