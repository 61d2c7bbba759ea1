"""Files of the predictions of this worker: inputs in a folder that lives as long as the prediction, outputs stored.

How each is fetched or stored stands in `inputs`, `outputs` and `own_files`.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

import httpx
from sqlalchemy import Row

from shared.database import Database
from shared.errors import FileUnavailable
from shared.file_inputs import file_inputs, replaced, with_defaults
from shared.kept_secrets import decrypted_input
from shared.settings import Settings
from shared.storage import version_folder
from shared.vault import Vault
from worker.cell import Stay
from worker.events import Done, Event
from worker.inputs import InputFiles
from worker.outbound import fetch
from worker.outputs import OutputFiles
from worker.own_files import Boundaries, OwnFiles

_ARRIVING, _WORKPLACES = "arriving", "workplaces"
"""In the place of a version."""


def folder_of(home: Path, version_id: str, prediction_id: str, attempt: int) -> Path:
    """Where an attempt at a prediction has its files."""
    return predictions_folder(home, version_id) / f"{prediction_id}-{attempt}"


def predictions_folder(home: Path, version_id: str) -> Path:
    """Of all predictions of a version, which its processes may see."""
    return _folders(home) / version_id


def existing_folders(home: Path) -> dict[str, Path]:
    """Those that there are, by the prediction's id; blocks."""
    return {folder.name.partition("-")[0]: folder for folder in _folders(home).glob("*/*-*")}


def _move(arriving: Path, folder: Path) -> None:
    """On one disk; so short that it is no matter for a thread."""
    try:
        folder.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
        arriving.rename(folder)
    except OSError as error:
        raise FileUnavailable(f"input files cannot be stored: {error.strerror}") from error


def _folders(home: Path) -> Path:
    return home / "run" / "predictions"


@dataclass(slots=True)
class PredictionFiles:
    """Those of one attempt at one prediction."""

    row: Row[Any]
    vault: Vault
    folder: Path
    arriving: Path
    """Where its inputs are while they come: a model writes to its folder, and could lead us astray there."""
    inputs: InputFiles
    outputs: OutputFiles
    workplace: Path
    """For a process of its own; whoever makes it makes it a copy of the version's folder."""
    has_folder: bool = False
    stay: Stay | None = None
    """In the process that runs it; to be set before it does."""

    async def fetched(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The input with local paths for its files, and the names of those; FileUnavailable, SecretUnreadable."""
        given = with_defaults(schema, decrypted_input(self.vault, self.row))
        wanted = file_inputs(schema, given)
        if not wanted:
            return given, []
        self.has_folder = True
        arriving = await self.inputs.fetch(wanted, self.arriving)
        _move(self.arriving, self.folder)
        paths = {name: str(self.folder / Path(path).relative_to(self.arriving)) for name, path in arriving.items()}
        return replaced(schema, given, lambda name, url: paths[name]), list(paths)

    def may_hand_out(self, place: Path) -> bool:
        """Whether the model can see what lies at a real place."""
        return self.stay is None or self.stay.may_show(place)

    async def settled(self, done: Done) -> Done:
        """How it has ended, with its files stored and gone: another prediction may write them under the same names."""
        settled = await self.outputs.settled(done)
        await self.outputs.close()
        return settled

    async def clean(self) -> None:
        """Remove all that it needed to run; once is enough, twice does no harm."""
        await self.outputs.close()
        if self.stay:
            stay, self.stay = self.stay, None
            await stay.end()
        if self.has_folder:
            for folder in (self.arriving, self.folder, self.workplace):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self.has_folder = False


@dataclass(frozen=True, slots=True)
class Files:
    """Opens them for each prediction; `client` is to be used for what users name."""

    settings: Settings
    database: Database
    client: httpx.AsyncClient

    @asynccontextmanager
    async def of(
        self, row: Row[Any], take: Callable[[Event], None], stop: Callable[[], bool]
    ) -> AsyncIterator[PredictionFiles]:
        """The files of a prediction just claimed; `take` hears what its process says, `stop` when to end it."""
        home = self.settings.home
        folder = folder_of(home, row.version_id, row.id, row.attempt)
        workplace = folder_of(home, _WORKPLACES, row.id, row.attempt)
        own, kept = (version_folder(home, row.version_id), folder, workplace), OwnFiles(self.settings, self.database)
        boundaries = Boundaries(home, own, lambda place: files.may_hand_out(place))
        outputs = OutputFiles(partial(kept.keep, row, boundaries), own, take, stop)
        inputs = InputFiles(self._download, partial(kept.find, row.account_id))
        arriving = folder_of(home, _ARRIVING, row.id, row.attempt)
        files = PredictionFiles(row, self.database.vault, folder, arriving, inputs, outputs, workplace)
        try:
            yield files
        finally:
            await files.clean()

    async def _download(self, url: str, sink: IO[bytes]) -> None:
        total = timedelta(seconds=self.settings.fetch_seconds)
        await fetch(self.client, url, sink, total=total, cap_bytes=self.settings.max_input_bytes)
