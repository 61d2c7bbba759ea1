"""A prediction worker without its queues: jobs are handed to it by the test, models are those of tests/predictors.

Model processes, database and Redis are real.
"""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
from sqlalchemy import Row

from shared.database import Database
from shared.live import Feed
from shared.queue import predict_queue
from shared.settings import Settings
from shared.storage import version_folder
from tests.database_fixtures import PROJECT, Rows
from worker.app import BellWorker
from worker.files import Files
from worker.ledger import Ledger
from worker.memory import HostMemory, Memory, usual_budget
from worker.outbound import Outbound
from worker.predict import Predictor
from worker.presence import Presence
from worker.residency import Residency
from worker.roles import provisions


class Host:
    """Opened by `hosting`."""

    def __init__(
        self, settings: Settings, database: Database, feed: Feed, client: httpx.AsyncClient, memories: Sequence[Memory]
    ) -> None:
        self.settings = settings
        self.database = database
        self.files = Files(settings, database, client)
        needed = provisions(settings, database, client)
        residency = Residency(settings.home, timedelta(seconds=settings.setup_seconds), needed, memories)
        self.residency = residency
        self.presence = Presence(settings, database, feed, residency.cancel, residency.interrupt, residency.report)
        self.presence.id = "worker"
        self.ledger = Ledger(database, self.presence)
        self.queue: BellWorker | None = None

    async def predict(self, version_id: str, prediction_id: str, delivery: int = 1) -> None:
        resident = self.residency.resident(version_id)
        predictor = Predictor(self.settings, self.database, self.ledger, self.files, resident)
        queue = predict_queue(version_id)
        self.queue = BellWorker(self.database.redis, self.database.redis, queue, "predict", predictor.predict, 1)
        await predictor.predict(self.queue, prediction_id, delivery)

    async def run(self, rows: Rows, version_id: str, **wanted: Any) -> Row[Any]:
        """A prediction of this version, to its end."""
        row = await rows.waiting(version_id=version_id, **wanted)
        await self.predict(version_id, row.id)
        return await rows.prediction(row.id)


@asynccontextmanager
async def hosting(settings: Settings, database: Database, feed: Feed, *memories: Memory) -> AsyncIterator[Host]:
    """A host on these servers, with all of its main memory or those memories, its model processes ended afterwards."""
    async with Outbound(settings.file_allow_cidrs) as client:
        host = Host(settings, database, feed, client, memories or [HostMemory(usual_budget())])
        yield host
        await host.residency.stop()


async def installed(settings: Settings, rows: Rows, predictor: str, **changes: Any) -> str:
    """A version that is one of the predictors for tests."""
    version_id = await rows.add_version(**changes)
    shutil.copytree(PROJECT / "tests" / "predictors" / predictor, version_folder(settings.home, version_id))
    return version_id
