"""calls_2.py NAME ARGUMENTS OPTIONS, both as JSON: one thing done with Replicate's Python client 2.x, and its outcome.

Runs in an environment of its own, and knows nothing of ours. The environment says where Pinion is.
"""

import io
import json
import re
import sys
import time
import warnings
from typing import Any

import httpx
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


def listed() -> list[str]:
    return [each.id for each in replicate.predictions.list()]


def cancel(version: str, input: dict[str, Any]) -> list[str]:
    created = replicate.predictions.create(version=version, input=input)
    replicate.predictions.cancel(prediction_id=created.id)
    return [created.status, replicate.predictions.wait(created.id).status]


def files(text: str) -> dict[str, Any]:
    made = replicate.files.create(content=text.encode(), filename="a.txt", type="text/plain", metadata={"a": 1})
    address = httpx.URL(made.urls.download)
    given = {name: address.params[name] for name in ("owner", "signature")}
    content = replicate.files.download(file_id=made.id, expiry=int(address.params["expiry"]), **given).text()
    listed = [[each.id for each in replicate.files.list()], replicate.files.delete(file_id=made.id)]
    after = [each.id for each in replicate.files.list()]
    found = {"name": made.name, "type": made.content_type, "metadata": made.metadata, "content": content}
    return {**found, "is_listed": made.id in listed[0], "is_deleted": made.id not in after}


def file_in_and_out(model: str, text: str) -> str:
    output = replicate.run(model, input={"file": io.BytesIO(text.encode())})
    return httpx.get(str(output)).text


def deployments(name: str, model: str, version: str, input: dict[str, Any]) -> dict[str, Any]:
    limits: dict[str, Any] = {"hardware": "cpu", "min_instances": 0, "max_instances": 1}
    owner = replicate.deployments.create(name=name, model=model, version=version, **limits).owner
    its = {"deployment_owner": owner, "deployment_name": name}
    changed = replicate.deployments.update(**its, max_instances=2).current_release
    listed = [each.name for each in replicate.deployments.list()]
    created = replicate.deployments.predictions.create(**its, input=input)
    ended = replicate.predictions.wait(created.id)
    stopped = replicate.deployments.update(**its, max_instances=0)
    shown = {"found": replicate.deployments.get(**its).to_dict() == stopped.to_dict(), "is_listed": name in listed}
    hardware = [each.sku for each in replicate.hardware.list()]
    return {**shown, "release": changed.number, "output": ended.output, "hardware": hardware}


def trainings(base: str, destination: str, input: dict[str, Any], endless: dict[str, Any]) -> dict[str, Any]:
    owner, name, version = re.split("[/:]", base)
    its = {"model_owner": owner, "model_name": name, "version_id": version, "destination": destination}
    training = replicate.trainings.create(**its, input=input)
    while training.status in ("starting", "processing"):
        time.sleep(0.05)
        training = replicate.trainings.get(training_id=training.id)
    canceled = replicate.trainings.cancel(training_id=replicate.trainings.create(**its, input=endless).id)
    listed = [each.id for each in replicate.trainings.list()]
    shown = {"status": training.status, "version": training.output.version}
    return {**shown, "canceled": canceled.status, "is_listed": training.id in listed}


CALLS = {
    call.__name__: call
    for call in (
        run,
        use,
        use_streaming,
        stream,
        predictions,
        listed,
        cancel,
        files,
        file_in_and_out,
        deployments,
        trainings,
    )
}

if __name__ == "__main__":
    name, given, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    try:
        print(json.dumps({"answer": CALLS[name](*given, **options)}))
    except Exception as error:  # what a person would see
        print(json.dumps({"raised": type(error).__name__, "message": str(error)}))
