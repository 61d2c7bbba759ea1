"""Job: one prediction from start to finish.

Claims, runs and hands on; how each of these is done stands in the room it is named after.
"""

from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row

from shared import lifecycle
from shared.database import Database
from shared.settings import Settings
from worker.app import BellWorker
from worker.ledger import Ledger
from worker.persistence import persistently
from worker.process import Done, SetupFailed
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
    resident: Resident
    usual_seconds: float = 1.0

    async def predict(self, queue: BellWorker, prediction_id: str, delivery: int) -> None:
        """Ends when the prediction has ended, or at once if somebody else has it."""
        try:
            await self.resident.ready()  # while the model loads, its predictions stay `starting`
            row = await self.ledger.claim(prediction_id, delivery)
            if row is None:
                return
            recorder, done = await self._run(row)
        except SetupFailed as failure:
            await self._fail(prediction_id, f"The model could not be set up: {failure.message}")
            return
        self._look_ahead(queue, done)
        with queue.seat_given_up():
            await recorder.finish(done)

    async def _run(self, row: Row[Any]) -> tuple[Recorder, Done]:
        async with self.resident.seat() as process:

            def lost() -> None:
                process.cancel(row.id)

            recorder = Recorder(self.database, self.ledger, row, self.settings.webhook_interval_seconds, lost)
            if self.resident.is_canceled(row.id):
                return recorder, Done("canceled")
            return recorder, await process.predict(row.id, row.input, recorder.take)

    async def _fail(self, prediction_id: str, error: str) -> None:
        async def write() -> None:
            async with self.database.transaction() as transaction:
                await lifecycle.fail(transaction, prediction_id, error)

        await persistently(write)

    def _look_ahead(self, queue: BellWorker, done: Done) -> None:
        """A model that answers in no time is kept busy by taking its next jobs early; a slow one must not hoard."""
        self.usual_seconds += ((done.predict_time or 0.0) - self.usual_seconds) / 4
        ahead = int(_LOOK_AHEAD_SECONDS / max(self.usual_seconds, 0.001))
        queue.resize(self.resident.concurrency + min(ahead, _LOOK_AHEAD_MAX))
