"""Replicate's Python client 2.x: calls.py NAME ARGUMENTS-AS-JSON does one thing with it and prints what came of it.

Runs in an environment of its own, and knows nothing of ours. The environment says where Pinion is.
"""

import json
import sys
import warnings
from typing import Any

import replicate


def run(model: str, input: dict[str, Any], **options: Any) -> Any:
    output = replicate.run(model, input=input, **options)
    return output if isinstance(output, str) else list(output)


def use(model: str, input: dict[str, Any]) -> Any:
    output = replicate.use(model)(**input)
    return output if isinstance(output, str) else list(output)


def use_streaming(model: str, input: dict[str, Any]) -> list[str]:
    return [str(piece) for piece in replicate.use(model, streaming=True)(**input)]


def stream(model: str, input: dict[str, Any]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return [str(piece) for piece in replicate.stream(model, input=input)]


def predictions(version: str, input: dict[str, Any]) -> dict[str, Any]:
    created = replicate.predictions.create(version=version, input=input)
    found = replicate.predictions.get(prediction_id=created.id)
    ended = replicate.predictions.wait(created.id)
    late = replicate.predictions.cancel(prediction_id=created.id)
    listed = [each.id for each in replicate.predictions.list()]
    shown = {"created": created, "found": found, "ended": ended, "late": late}
    return {**{name: each.model_dump(mode="json") for name, each in shown.items()}, "is_listed": created.id in listed}


def cancel(version: str, input: dict[str, Any]) -> list[str]:
    created = replicate.predictions.create(version=version, input=input)
    replicate.predictions.cancel(prediction_id=created.id)
    return [created.status, replicate.predictions.wait(created.id).status]


CALLS = {call.__name__: call for call in (run, use, use_streaming, stream, predictions, cancel)}

if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    *given, options = (json.loads(argument) for argument in arguments)
    try:
        print(json.dumps({"answer": CALLS[name](*given, **options)}))
    except Exception as error:  # what a person would see
        print(json.dumps({"raised": type(error).__name__, "message": str(error)}))
