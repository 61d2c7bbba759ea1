"""Files of predictions that are kept here: found where an input names one of ours, and made of a model's outputs.

How inputs get to a model and outputs from it stands in `inputs` and `outputs`, which know no database.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from shared import catalog, files, rendering
from shared.database import Database
from shared.errors import FileUnavailable
from shared.file_names import FILE_KEY, HEAD_BYTES, UNKNOWN_TYPE, extension_of, file_name, media_type
from shared.file_store import Incoming
from shared.files import Description
from shared.settings import Settings
from worker.outputs import is_below, open_output, place_of
from worker.persistence import persistently
from worker.weights import VersionWeights

_PIECE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Where a model's files may lie: where the model sees them, but in our own folder only where `own` says."""

    home: Path
    own: tuple[Path, ...]
    may_show: Callable[[Path], bool]

    def check(self, place: Path) -> None:
        """FileUnavailable for a file of the service or of another model."""
        is_ours = is_below(place, self.home) and not any(is_below(place, folder) for folder in self.own)
        if is_ours or not self.may_show(place):
            raise FileUnavailable(f"The model may not hand out the file {place.name}: it is not one of its own.")


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """All that are kept in this home."""

    settings: Settings
    database: Database

    async def find(self, account_id: str, url: str) -> tuple[Path, str] | None:
        """Content and name of a file of ours: an own upload, or an output, whose address is the permission."""
        file_id = files.id_in_url(url)
        row = await files.find(self.database, file_id) if file_id else None
        if row and (row.prediction_id or row.account_id == account_id):
            if content := await asyncio.to_thread(files.content_of, self.settings.home, row):
                return content, file_name(row.name)
        elif not (file_id and url.startswith(f"{self.settings.address}/")):
            return None  # somebody else's address that only looks like one of ours
        raise FileUnavailable("there is no such file here, or it has expired")

    async def weights_of(self, version_id: str) -> VersionWeights:
        """What a version was given."""
        row = await persistently(lambda: catalog.given_weights(self.database, version_id))
        address = "" if row.weights is None else rendering.output(row.weights, self.settings.address)
        return VersionWeights(row.weights, address, row.account_id, partial(self.find, row.account_id))

    async def keep(self, row: Row[Any], boundaries: Boundaries, path: Path) -> dict[str, str]:
        """Store an output of a prediction; what stands for it in the output from now on. OSError, FileUnavailable."""
        with await asyncio.to_thread(Incoming, self.settings.home) as incoming:
            name, kind = await asyncio.to_thread(_copy, path, boundaries, incoming)
            description = Description(row.account_id, name, kind, self.settings.output_seconds, row.id)
            file = await persistently(lambda: files.register(self.database, incoming, description))
            await asyncio.to_thread(incoming.publish, file.id)
        return {FILE_KEY: f"{file.id}/{name}"}


def _copy(path: Path, boundaries: Boundaries, incoming: Incoming) -> tuple[str, str]:
    """Name and type of what was copied."""
    head = b""
    with open_output(path) as source:
        boundaries.check(place_of(source.fileno(), path))  # not before: a model may change what is there
        while piece := source.read(_PIECE_BYTES):
            head = head or piece[:HEAD_BYTES]
            incoming.write(piece)
    incoming.complete()
    kind = media_type(path.name, head)
    name = file_name(path.name)
    return (name if path.suffix or kind == UNKNOWN_TYPE else name + (extension_of(kind) or "")), kind
