"""`pinion push`: a model's folder becomes a version that can be run.

What the folder must hold, and how its environment is made, is decided by the server.
"""

import os
import re
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from cli import home, huggingface
from cli.client import answer, connect
from cli.failure import Failure
from cli.inventory import Entry, list_files, take_inventory, total_size
from cli.progress import progress
from cli.upload import upload

_LOOK_SECONDS = 0.2
_TAIL_CHARACTERS = 200
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def push(
    source: str,
    model: str,
    url: str | None,
    task: str | None = None,
    visibility: str | None = None,
    *,
    is_link: bool = False,
) -> None:
    """Send a folder, or a model of the Hub as one, show how its version is built, and print its name.

    A linked folder is not sent but served where it lies.
    """
    check_name(model)
    if not source.startswith(huggingface.PREFIX):
        _push(Path(source), model, url, visibility, is_link=is_link, may_lead_out=is_link)
        return
    if is_link:
        raise Failure("A model of the Hub lies in no folder of yours that could be linked: leave out --link.")
    with huggingface.folder_of(source, task) as folder:
        _push(folder, model, url, visibility, is_link=False, may_lead_out=True)  # into the Hub's cache


def _push(
    folder: Path, model: str, url: str | None, visibility: str | None, *, is_link: bool, may_lead_out: bool
) -> None:
    check_folder(folder)
    entries = _read(folder, may_lead_out=may_lead_out)
    with connect(url) as client:
        version = _follow(client, model, _hand_over(client, model, folder, entries, visibility, is_link=is_link))
        if version["status"] == "failed":
            raise Failure(f"{model} could not be built: {version.get('error') or 'see the log above'}")
        print(f"{model}:{version['id']}")
        print(client.base_url.join(f"models/{model}"), flush=True)


def check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise Failure(f"{folder} is no folder: name the one that holds the model's cog.yaml.")
    if not (folder / "cog.yaml").is_file():
        raise Failure(
            f'{folder} has no cog.yaml: write one that names the predictor, like `predict: "predict.py:Predictor"`, '
            "or begin with `pinion init`."
        )


def check_name(model: str) -> None:
    if not _NAME.fullmatch(model):
        rule = "write it as owner/name, in lower-case letters, digits, dots, dashes and underscores"
        raise Failure(f"{model} is no name of a model: {rule}.")


def _read(folder: Path, *, may_lead_out: bool) -> list[Entry]:
    paths = list_files(folder, lambda remark: print(remark, file=sys.stderr), may_lead_out=may_lead_out)
    with progress("Reading", total_size(folder, paths)) as passed:
        return take_inventory(folder, paths, home.locate(os.environ) / "digests.db", passed)


def _hand_over(
    client: httpx.Client, model: str, folder: Path, entries: list[Entry], visibility: str | None, *, is_link: bool
) -> dict[str, Any]:
    wish = {"visibility": visibility} if visibility else {}
    if not is_link:
        return upload(client, model, entries, wish)
    with _witness() as witness:
        return upload(client, model, entries, {**wish, "link": {"path": str(folder.resolve()), **witness}})


@contextmanager
def _witness() -> Iterator[dict[str, str]]:
    """A file that shows the server that it is on the same host."""
    nonce = secrets.token_hex(32)
    with tempfile.NamedTemporaryFile("w", prefix="pinion-link-") as file:
        file.write(nonce)
        file.flush()
        yield {"witness": file.name, "nonce": nonce}


def _follow(client: httpx.Client, model: str, version: dict[str, Any]) -> dict[str, Any]:
    seen = ""
    while True:
        log = version.get("logs") or ""
        sys.stderr.write(unseen(seen, log))
        sys.stderr.flush()
        seen = log
        if version["status"] != "building":
            sys.stderr.write("\n" if log and not log.endswith("\n") else "")
            return version
        time.sleep(_LOOK_SECONDS)
        version = answer(client.get(f"/models/{model}/versions/{version['id']}"))


def unseen(seen: str, log: str) -> str:
    """What has been added to a log, which loses its beginning when it grows very long."""
    return log[len(seen) :] if log.startswith(seen) else log.rpartition(seen[-_TAIL_CHARACTERS:])[2]
