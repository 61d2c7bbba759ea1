"""Job: one training from start to finish, in a process of its own, until its version is built.

How its result becomes a version, and what a cancel means then, stands in `shared/trainings`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row

from shared import trainings
from shared.contract import Status, VersionStatus
from shared.database import Database
from shared.errors import FileUnavailable, SecretUnreadable
from shared.file_names import FILE_KEY
from shared.lifecycle import Ending, Progress
from shared.settings import Settings
from shared.storage import copy_version
from shared.trainings import Build
from worker.app import BellWorker
from worker.events import Canceled, Done, Log, SetupFailed
from worker.excerpt import Excerpt
from worker.files import Files, PredictionFiles
from worker.inputs import WEB
from worker.interruption import Interruptible
from worker.ledger import Ledger
from worker.persistence import persistently
from worker.process import ModelProcess
from worker.provisions import Provisions
from worker.recorder import Recorder
from worker.residency import Residency
from worker.shelf import Say
from worker.training import Trainings

NO_WEIGHTS = "The training gave no weights: train() must return a file, or a TrainingOutput whose `weights` are one."
_LOOK_SECONDS = 0.25
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trainer:
    """Runs trainings on this host."""

    settings: Settings
    database: Database
    ledger: Ledger
    files: Files
    residency: Residency
    provisions: Provisions
    trainings: Trainings = field(default_factory=Trainings)

    async def train(self, queue: BellWorker, training_id: str, delivery: int) -> None:
        """Ends when the training has ended, or at once if somebody else has it."""
        with self.ledger.carrying(training_id), self.trainings.going_on(training_id) as training:
            row = await self.ledger.claim(training_id, delivery)
            if row and row.trained_version_id is None:  # else its worker died when only the build was left
                row = await self._carry_out(row, training)
            if row:
                await self._see_built(row, training)

    async def _carry_out(self, row: Row[Any], training: Interruptible) -> Row[Any] | None:
        """The training's row, which names the version to be built; None if it has ended without one."""
        interval = self.settings.webhook_interval_seconds
        recorder = Recorder(self.ledger, row, interval, training.interrupt)
        async with self.files.of(row, recorder.take, training.interrupt) as files:
            try:
                done = await self._run(row, files, training, recorder)
                await files.clean()
                if done.status == "succeeded":
                    return await self._make_version(row, recorder, done)
                await recorder.finish(done)
            except Exception as error:  # a row left `processing` under a living worker would never end
                _log.error("training broke", prediction_id=row.id, exc_info=error)
                ending = recorder.given_up("Pinion could not save what the training gave. The worker's log says why.")
                await persistently(lambda: self.ledger.finish(ending))
        return None

    async def _run(self, row: Row[Any], files: PredictionFiles, training: Interruptible, recorder: Recorder) -> Done:
        try:
            async with AsyncExitStack() as stack:
                async with training.preparation():
                    process = await stack.enter_async_context(self._started(row, files, _say_to(recorder)))
                    input, named = await files.fetched(process.schema)
                files.stay = process.stay(row.id)
                with training.stopped_by(lambda: process.cancel(row.id)):
                    done = await process.predict(row.id, input, files.outputs.take, files=named)
                return await files.settled(done)
        except SetupFailed as failure:
            return Done("failed", error=f"The training could not be set up: {failure.message}")
        except (FileUnavailable, SecretUnreadable) as failure:
            return Done("failed", error=failure.message)
        except Canceled:
            return Done("canceled")

    @asynccontextmanager
    async def _started(self, row: Row[Any], files: PredictionFiles, say: Say) -> AsyncIterator[ModelProcess]:
        """A process for this training alone, in a copy of the version's folder: it may leave there what it likes."""
        folder, files.has_folder = files.workplace, True
        await asyncio.to_thread(copy_version, self.settings.home, row.version_id, folder)
        needed = await self.provisions.of_version(row.version_id, folder, say)
        await self.residency.make_room(self.residency.resident(row.version_id).usual_bytes())
        process = await ModelProcess.start(
            folder,
            mode="train",
            python=needed.python,
            weights=needed.weights,
            enclosure=needed.enclosure,
            setup_limit=timedelta(seconds=self.settings.setup_seconds),
            on_setup_log=say,
        )
        try:
            with self.residency.guest(process.group):
                await process.ready()
                yield process
        finally:
            await process.stop(timedelta(0))

    async def _make_version(self, row: Row[Any], recorder: Recorder, done: Done) -> Row[Any] | None:
        progress = await recorder.settled(done)
        try:
            weights = _weights(done.output)
            home = self.settings.home
            noted = await persistently(lambda: trainings.make_version(self.database, home, row, progress, weights))
            if noted:
                return noted
            done = replace(done, status="canceled", output=None)
        except (FileUnavailable, SecretUnreadable) as failure:
            done = replace(done, status="failed", output=None, error=failure.message)
        await recorder.finish(done)
        return None

    async def _see_built(self, row: Row[Any], training: Interruptible) -> None:
        """Wait for the version; the row in the database says whether to go on, a word to cancel only makes us look."""
        news = asyncio.Event()
        with training.stopped_by(news.set):
            while (build := await self._look(row)).status == VersionStatus.BUILDING:
                await _wait(news)
        ending = _ending(row, build)
        await persistently(lambda: self.ledger.finish(ending))

    async def _look(self, row: Row[Any]) -> Build:
        return await persistently(lambda: trainings.build_of(self.database, row))


def _weights(output: Any) -> Any:
    """An address, or a file of ours; raises FileUnavailable."""
    is_record = isinstance(output, dict) and output.keys() != {FILE_KEY}
    weights = output.get("weights") if is_record else output
    is_address = isinstance(weights, str) and weights.lower().startswith(WEB)
    if is_address or (isinstance(weights, dict) and weights.keys() == {FILE_KEY}):
        return weights
    raise FileUnavailable(NO_WEIGHTS)


def _say_to(recorder: Recorder) -> Say:
    """What is said before train() begins belongs to its logs, within their bounds."""
    logs = Excerpt()

    def say(text: str) -> None:
        if shown := logs.take(text):
            recorder.take(Log(shown))

    return say


async def _wait(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            await news.wait()
        news.clear()
    except TimeoutError:
        return


def _ending(row: Row[Any], build: Build) -> Ending:
    def ended(status: Status, error: str | None = None, output: Any = None) -> Ending:
        return Ending(row, status, error, Progress(row.id, row.attempt, output, row.logs, row.metrics), build.seen_at)

    if build.status == VersionStatus.READY:
        version = f"{row.destination}:{row.trained_version_id}"
        return ended(Status.SUCCEEDED, output={"version": version, "weights": build.weights})
    if build.is_canceled:
        return ended(Status.CANCELED)
    return ended(Status.FAILED, f"The new version could not be built: {build.error or 'it was deleted.'}")
