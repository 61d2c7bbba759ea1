"""A worker that trains and builds, with its queues, in this process; its model processes are real.

What the worker of a service opens besides is left out.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from shared.contract import VersionStatus
from shared.database import Database
from shared.live import Feed
from shared.queue import BUILD_QUEUE, TRAIN_QUEUE
from shared.settings import Settings
from tests.database_fixtures import Rows, redis_at
from tests.host import installed
from worker.app import BellWorker, Job
from worker.build import Builder
from worker.files import Files
from worker.ledger import Ledger
from worker.memory import HostMemory, usual_budget
from worker.outbound import Outbound
from worker.presence import Presence
from worker.residency import Residency
from worker.roles import provisions
from worker.train import Trainer
from worker.training import Trainings


class TrainingWorker:
    """Opened by `training`."""

    def __init__(self, presence: Presence, residency: Residency, trainer: Trainer) -> None:
        self.presence, self.residency, self.trainer = presence, residency, trainer
        self.queues: list[BellWorker] = []


@asynccontextmanager
async def training(
    settings: Settings, database: Database, feed: Feed, *, builds: bool = True
) -> AsyncIterator[TrainingWorker]:
    """Takes trainings, and builds if it is to, until it is left; then it is as good as dead."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Outbound(settings.file_allow_cidrs))
        needed = provisions(settings, database, client)
        memories = [HostMemory(usual_budget())]
        residency = Residency(settings.home, timedelta(seconds=settings.setup_seconds), needed, memories)
        stack.push_async_callback(residency.stop)
        heard = Trainings()
        presence = Presence(settings, database, feed, heard.interrupt, heard.interrupt, residency.report)
        await stack.enter_async_context(presence.announced())
        files = Files(settings, database, client)
        trainer = Trainer(settings, database, Ledger(database, presence), files, residency, needed, heard)
        worker = TrainingWorker(presence, residency, trainer)
        bells = await stack.enter_async_context(redis_at(settings.redis_url, connections=4, is_listening=True))
        jobs: dict[str, Job] = {TRAIN_QUEUE: trainer.train}
        if builds:
            jobs[BUILD_QUEUE] = Builder(database, residency).build
        for queue, job in jobs.items():
            worker.queues.append(BellWorker(database.redis, bells, queue, queue.rpartition(":")[2], job, 2))
            await stack.enter_async_context(worker.queues[-1].running())
            stack.push_async_callback(worker.queues[-1].abandon)
        yield worker


async def built(worker: TrainingWorker, settings: Settings, rows: Rows, predictor: str) -> str:
    """A version that is one of the predictors for tests, with the schema it really has."""
    version_id = await installed(settings, rows, predictor, status=VersionStatus.BUILDING, openapi_schema=None)
    database = rows.database
    queue = BellWorker(database.redis, database.redis, "pinion:none", "build", worker.trainer.train, 1)
    await Builder(database, worker.residency).build(queue, version_id, 1)
    return version_id
