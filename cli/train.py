"""`pinion train`: a version trained from the terminal, with its logs as they come and the new version at the end.

How `key=value` becomes an input stands in `inputs`.
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import httpx

from cli.client import answer, connect
from cli.failure import Failure
from cli.inputs import Schema, read_inputs
from cli.push import check_name, unseen
from cli.run import ENDED, find_version

_LOOK_SECONDS = 0.5


def train(target: str, destination: str, pairs: Sequence[str], document: str | None, url: str | None) -> None:
    """Create the training, show it, and end as it ends; Ctrl-C cancels it."""
    model, _, version_id = target.partition(":")
    check_name(model)
    check_name(destination)
    with connect(url) as client:
        version = find_version(client, model, version_id)
        input = read_inputs(pairs, document, _of_training(version))
        body = {"destination": destination, "input": input}
        training = answer(client.post(f"/models/{model}/versions/{version['id']}/trainings", json=body))
        try:
            training = _follow(client, training)
        except KeyboardInterrupt:
            client.post(f"/trainings/{training['id']}/cancel")
            print("\nCanceled.", file=sys.stderr)
            raise
    if training["status"] != "succeeded":
        raise Failure(f"The training {training['status']}: {training.get('error') or 'it says no more'}")
    print(training["output"]["version"])


def _of_training(version: dict[str, Any]) -> Schema:
    """The schema of a version as if its training were what it does."""
    schemas = ((version.get("openapi_schema") or {}).get("components") or {}).get("schemas", {})
    return {"components": {"schemas": {**schemas, "Input": schemas.get("TrainingInput", {})}}}


def _follow(client: httpx.Client, training: dict[str, Any]) -> dict[str, Any]:
    seen = ""
    while True:
        training = answer(client.get(f"/trainings/{training['id']}"))
        logs = training.get("logs") or ""
        sys.stderr.write(unseen(seen, logs))
        sys.stderr.flush()
        seen = logs
        if training["status"] in ENDED:
            return training
        time.sleep(_LOOK_SECONDS)
