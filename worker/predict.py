"""Job: one prediction from start to finish.

Claims, runs and hands on; how each of these is done stands in the room it is named after.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Row

from shared import lifecycle
from shared.database import Database
from shared.errors import FileUnavailable
from shared.settings import Settings
from worker.app import BellWorker
from worker.events import Canceled, Done, SetupFailed
from worker.files import Files, PredictionFiles
from worker.ledger import Ledger
from worker.persistence import persistently
from worker.recorder import Recorder
from worker.residency import Resident

_LOOK_AHEAD_MAX = 8
_LOOK_AHEAD_SECONDS = 0.02
"""Jobs taken beyond the free seats wait no longer than this, so another worker could not have served them sooner."""
_log = structlog.get_logger()


@dataclass(slots=True)
class Predictor:
    """Runs the predictions of one version on this host."""

    settings: Settings
    database: Database
    ledger: Ledger
    files: Files
    resident: Resident
    usual_seconds: float = 1.0

    async def predict(self, queue: BellWorker, prediction_id: str, delivery: int) -> None:
        """Ends when the prediction has ended, or at once if somebody else has it."""
        try:
            await self.resident.ready()  # while the model loads, its predictions stay `starting`
        except SetupFailed as failure:
            await self._refuse(prediction_id, delivery, _cannot_run(failure))
            return
        self._take_as_many_as_fit(queue)
        with self.ledger.carrying(prediction_id):
            row = await self.ledger.claim(prediction_id, delivery)
            if row:
                await self._carry_out(queue, row)

    async def _carry_out(self, queue: BellWorker, row: Row[Any]) -> None:
        interrupt = partial(self.resident.interrupt, row.id)
        recorder = Recorder(self.database, self.ledger, row, self.settings.webhook_interval_seconds, interrupt)
        async with self.files.of(row, recorder.take, interrupt) as files:
            try:
                done = await self._run(row, files)
                self.usual_seconds += ((done.predict_time or 0.0) - self.usual_seconds) / 4
                self._take_as_many_as_fit(queue)
                with queue.seat_given_up():
                    await recorder.finish(await files.settled(done))
            except Exception as error:  # a row left `processing` under a living worker would never end
                _log.error("prediction broke", prediction_id=row.id, exc_info=error)
                await self._give_up(recorder)

    async def _run(self, row: Row[Any], files: PredictionFiles) -> Done:
        try:
            async with self.resident.preparation(row.id):
                process = await self.resident.ready()
                input, named = await files.fetched(process.schema)
            async with self.resident.seat() as process:
                if self.resident.is_canceled(row.id):
                    return Done("canceled")
                return await process.predict(row.id, input, files.take, files=named)
        except SetupFailed as failure:
            return Done("failed", error=_cannot_run(failure))
        except FileUnavailable as failure:
            return Done("failed", error=failure.message)
        except Canceled:
            return Done("canceled")

    async def _give_up(self, recorder: Recorder) -> None:
        ending = recorder.given_up("Pinion could not save what the model gave. The worker's log says why.")
        await persistently(lambda: self.ledger.finish(ending))

    async def _refuse(self, prediction_id: str, delivery: int, error: str) -> None:
        async def write() -> None:
            async with self.database.transaction() as transaction:
                await lifecycle.refuse(transaction, prediction_id, delivery, error)

        await persistently(write)

    def _take_as_many_as_fit(self, queue: BellWorker) -> None:
        """A model that answers in no time is kept busy by taking its next jobs early; a slow one must not hoard."""
        ahead = int(_LOOK_AHEAD_SECONDS / max(self.usual_seconds, 0.001))
        queue.resize(self.resident.concurrency + min(ahead, _LOOK_AHEAD_MAX))


def _cannot_run(failure: SetupFailed) -> str:
    return f"The model could not be set up: {failure.message}"
