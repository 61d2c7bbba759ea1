"""`pinion push`: a model's folder becomes a version that can be run.

What the folder must hold, and how its environment is made, is decided by the server.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from cli import huggingface
from cli.client import answer, connect
from cli.failure import Failure
from cli.packing import pack

_LOOK_SECONDS = 0.2


def push(source: str, model: str, url: str | None, task: str | None = None) -> None:
    """Send a folder, or a model of the Hub as one, show how its version is built, and print its name."""
    check_name(model)
    if source.startswith(huggingface.PREFIX):
        with huggingface.folder_of(source, task) as folder:
            _push(folder, model, url)
    else:
        _push(Path(source), model, url)


def _push(folder: Path, model: str, url: str | None) -> None:
    check_folder(folder)
    with connect(url) as client:
        version = _follow(client, model, _upload(client, folder, model))
        if version["status"] == "failed":
            raise Failure(f"{model} could not be built: {version.get('error') or 'see the log above'}")
        print(f"{model}:{version['id']}")
        print(answer(client.get(f"/models/{model}"))["url"], flush=True)


def check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder: name the one that holds the model's cog.yaml.")
    if not (folder / "cog.yaml").is_file():
        raise Failure(
            f'{folder} has no cog.yaml: write one that names the predictor, like `predict: "predict.py:Predictor"`.'
        )


def check_name(model: str) -> None:
    owner, _, name = model.partition("/")
    if not owner or not name or "/" in name or ":" in name:
        raise Failure(f"{model} is no name of a model: write it as owner/name.")


def _upload(client: httpx.Client, folder: Path, model: str) -> dict[str, Any]:
    # On disk, not in memory: weights are large.
    with tempfile.TemporaryFile() as archive:
        pack(folder, archive)
        archive.seek(0)
        headers = {"Content-Type": "application/x-tar"}
        return answer(client.post(f"/models/{model}/versions", content=archive, headers=headers))


def _follow(client: httpx.Client, model: str, version: dict[str, Any]) -> dict[str, Any]:
    shown = 0
    while True:
        log = version.get("logs") or ""
        sys.stderr.write(log[shown:])
        sys.stderr.flush()
        shown = len(log)
        if version["status"] != "building":
            return version
        time.sleep(_LOOK_SECONDS)
        version = answer(client.get(f"/models/{model}/versions/{version['id']}"))
