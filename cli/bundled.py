"""The model that comes with Pinion: registered on the first start, through the API like any other.

How it is packed and sent is `push`'s work.
"""

import json
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from cli import probe
from cli.address import Address
from cli.home import PROJECT
from cli.process_tree import Service

NAME = "pinion/tiny-t5"
INPUT = {"prompt": "spell: 4217"}
FOLDER = PROJECT / "examples" / "tiny-t5"
_LIBRARIES = "import torch; from transformers import AutoTokenizer, T5ForConditionalGeneration"


def push_command(address: Address, environment: Mapping[str, str]) -> Service:
    command = (sys.executable, "-m", "cli", "push", str(FOLDER), NAME, "--public", "--url", address.url)
    return Service("push", command, environment)


def warm_up_command(environment: Mapping[str, str]) -> Service:
    """Compile what the model imports, politely, on a processor that would idle while the database is prepared.

    After an installation that takes longer than all the rest of a start.
    """
    return Service("warm-up", ("nice", sys.executable, "-c", _LIBRARIES), environment)


async def is_registered(note: Path, address: Address, token: str) -> bool:
    """Whether this very state of the folder was registered, and the server still knows the model."""
    if not _is_unchanged(note):
        return False
    status, body = await probe.get(address, f"/v1/models/{NAME}", token)
    return status == 200 and json.loads(body).get("latest_version") is not None


def _is_unchanged(note: Path) -> bool:
    return note.exists() and note.read_text() == fingerprint(FOLDER)


def note_registered(note: Path) -> None:
    note.write_text(fingerprint(FOLDER))


def fingerprint(folder: Path) -> str:
    """Changes whenever a file of the folder does."""
    digest = sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
