"""Job: one prediction from start to finish.

Claims, runs and hands on; how each of these is done stands in the room it is named after.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from shared import crash, lifecycle
from shared.database import Database
from shared.errors import FileUnavailable, SecretUnreadable
from shared.settings import Settings
from shared.workers import is_up_elsewhere
from worker.app import BellWorker
from worker.events import Canceled, Done, Log, SetupFailed, Unhealthy
from worker.files import Files, PredictionFiles
from worker.ledger import Ledger
from worker.persistence import persistently
from worker.recorder import Recorder
from worker.resident import Resident

_LOOK_AHEAD_MAX = 8
_LOOK_AHEAD_SECONDS = 0.02
"""Jobs taken beyond the free seats wait no longer than this, so another worker could not have served them sooner."""
_SETUP_LOG_SHOWN = 1 << 14
"""Characters of the end of a failed setup's log, where the reason stands, in the logs of each prediction it failed."""
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
            await self.resident.room(queue.occupied)  # while the model loads, its predictions stay `starting`
        except SetupFailed as failure:
            if not (isinstance(failure, Unhealthy) and await self._leave_to_others(queue, prediction_id, delivery)):
                await self._refuse(prediction_id, delivery, failure)
            return
        self._take_as_many_as_fit(queue)
        with self.ledger.carrying(prediction_id), self.resident.expecting():
            row = await self.ledger.claim(prediction_id, delivery)
            if row:
                crash.at("after_claim")
                await self._carry_out(queue, row)

    async def _carry_out(self, queue: BellWorker, row: Row[Any]) -> None:
        interrupt = partial(self.resident.interrupt, row.id)
        recorder = Recorder(self.ledger, row, self.settings.webhook_interval_seconds, interrupt)
        async with self.files.of(row, recorder.take, interrupt) as files:
            try:
                done = await self._run(row, files, recorder)
                self.usual_seconds += ((done.predict_time or 0.0) - self.usual_seconds) / 4
                self._take_as_many_as_fit(queue)
                with queue.seat_given_up():
                    await files.clean()
                    self.resident.ended(done, recorder.metrics)
                    await recorder.finish(done)
            except Exception as error:  # a row left `processing` under a living worker would never end
                _log.error("prediction broke", prediction_id=row.id, exc_info=error)
                await self._give_up(recorder)

    async def _run(self, row: Row[Any], files: PredictionFiles, recorder: Recorder) -> Done:
        try:
            async with self.resident.preparation(row.id):
                process = await self.resident.ready()
                input, named = await files.fetched(process.schema)
            async with self.resident.seat() as process:
                if self.resident.is_canceled(row.id):
                    return Done("canceled")
                files.stay = process.stay(row.id)
                done = await process.predict(row.id, input, files.outputs.take, files=named)
                return await files.settled(done)
        except SetupFailed as failure:
            recorder.take(Log(_logs(failure)))
            return Done("failed", error=_cannot_run(failure))
        except (FileUnavailable, SecretUnreadable) as failure:
            return Done("failed", error=failure.message)
        except Canceled:
            return Done("canceled")

    async def _give_up(self, recorder: Recorder) -> None:
        ending = recorder.given_up("Pinion could not save what the model gave. The worker's log says why.")
        await persistently(lambda: self.ledger.finish(ending))

    async def _refuse(self, prediction_id: str, delivery: int, failure: SetupFailed) -> None:
        self.resident.ended(Done("failed"), {})

        async def write() -> None:
            async with self.database.transaction() as transaction:
                await lifecycle.refuse(transaction, prediction_id, delivery, _cannot_run(failure), _logs(failure))

        await persistently(write)

    async def _leave_to_others(self, queue: BellWorker, prediction_id: str, delivery: int) -> bool:
        """Where the model is up on another host, that one shall run it: we would be the quicker one to fail it."""
        lease = self.settings.lease_seconds
        try:
            if not await is_up_elsewhere(self.database, lease, self.resident.version_id, self.ledger.worker_id):
                return False
            queue.resize(0)
            asyncio.get_running_loop().call_later(lease, queue.resize, 1)  # by then it is known whether that one lives
            async with self.database.transaction() as transaction:
                await lifecycle.hand_back(transaction, prediction_id, delivery)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("cannot tell who else runs it", prediction_id=prediction_id, error=type(error).__name__)
            return False
        return True

    def _take_as_many_as_fit(self, queue: BellWorker) -> None:
        """A model that answers in no time is kept busy by taking its next jobs early; a slow one must not hoard."""
        ahead = int(_LOOK_AHEAD_SECONDS / max(self.usual_seconds, 0.001))
        scout = 1 if self.resident.may_grow else 0  # by which it is known that work waits
        queue.resize(self.resident.concurrency + min(ahead, _LOOK_AHEAD_MAX) + scout)


def _cannot_run(failure: SetupFailed) -> str:
    return failure.message if isinstance(failure, Unhealthy) else f"The model could not be set up: {failure.message}"


def _logs(failure: SetupFailed) -> str:
    return failure.logs[-_SETUP_LOG_SHOWN:]
