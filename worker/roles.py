"""The two things a worker process can be: `predict` runs models, `deliver` sends webhooks and reconciles.

Opens and closes everything; what the jobs do stands in their own rooms.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import structlog
from redis.exceptions import RedisError

from shared import accounts, first_look
from shared.database import JOBS_WAIT, Database
from shared.ids import new_id
from shared.live import Feed
from shared.queue import (
    BUILD_QUEUE,
    DELIVER_QUEUE,
    DUE_QUEUE,
    TRAIN_QUEUE,
    RedisPool,
    open_listening_redis,
    open_queues,
    open_redis,
    predict_queue,
)
from shared.settings import Settings
from shared.tasks import end, start
from worker.app import BellWorker, Job
from worker.build import Builder
from worker.deliver import Sender
from worker.environment import Environments
from worker.files import Files, predictions_folder
from worker.gpu import gpus
from worker.kept_places import kept_places
from worker.ledger import Ledger
from worker.leftovers import Leftovers
from worker.life_sign import living
from worker.memory import HostMemory, usual_budget
from worker.outbound import Outbound, fetch
from worker.own_files import OwnFiles
from worker.persistence import persistently
from worker.pins import Pins
from worker.predict import Predictor
from worker.presence import Presence
from worker.provisions import Provisions
from worker.receivers import PLACES
from worker.residency import Residency
from worker.seclusion import Seclusion
from worker.sweep import Sweep
from worker.train import Trainer
from worker.training import Trainings
from worker.weights import Weights

_BUILDS_AT_ONCE = 2
_TRAININGS_AT_ONCE = 1
"""A training takes what the host has; the next one is for another host, or waits."""
_LOOK_FOR_QUEUES_SECONDS = 0.5
_LOOK_AFTER_CLAIMS_SECONDS = 2.0
_QUEUES_MAX = 1000
_log = structlog.get_logger()


@dataclass(slots=True)
class Queues:
    """The queues this process takes jobs from."""

    database: Database
    settings: Settings
    bells: RedisPool
    """Connections that wait for a bell, one a queue."""
    workers: dict[str, BellWorker] = field(default_factory=dict)
    _running: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def take(self, queue: str, name: str, job: Job, seats: int) -> None:
        """Take jobs from one more queue."""
        self.workers[queue] = BellWorker(self.database.redis, self.bells, queue, name, job, seats)
        self._running[queue] = AsyncExitStack()
        await self._running[queue].enter_async_context(self.workers[queue].running())

    async def leave(self, queue: str) -> None:
        """Take no more jobs from a queue, once those that run have ended."""
        await self.workers[queue].drained()
        await self._running.pop(queue).aclose()
        del self.workers[queue]

    async def close(self) -> None:
        """To be called last, whatever still runs."""
        for running in self._running.values():
            await running.aclose()

    async def drain(self, hurried: asyncio.Event) -> None:
        """Take no more jobs, let running ones end for a while or until somebody is in a hurry, and end the rest."""
        for worker in self.workers.values():
            worker.allow_pick_jobs = False
        drained = asyncio.gather(*(worker.drained() for worker in self.workers.values()))
        hurry = asyncio.create_task(hurried.wait())
        waits: set[asyncio.Future[Any]] = {drained, hurry}
        await asyncio.wait(waits, timeout=self.settings.drain_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if not drained.done():
            _log.warning("stopping with jobs running; they will be released")
            await asyncio.gather(*(worker.abandon() for worker in self.workers.values()))
        await drained


async def predict(settings: Settings) -> None:
    """Run models until asked to stop."""
    async with _opened(settings) as (database, bells, stack):
        client = await stack.enter_async_context(Outbound(settings.file_allow_cidrs))
        needed = provisions(settings, database, client)
        residency = _residency(settings, needed)
        stack.push_async_callback(residency.stop)
        stack.push_async_callback(end, start(residency.keep_within_budget()))
        stack.push_async_callback(end, start(residency.ask_health()))
        feed = await stack.enter_async_context(Feed(bells))
        stack.push_async_callback(end, start(Pins(database, feed, residency).run()))
        trainings = Trainings()

        def cancel(prediction_id: str) -> None:
            residency.cancel(prediction_id)
            trainings.interrupt(prediction_id)

        def interrupt(prediction_id: str) -> None:
            residency.interrupt(prediction_id)
            trainings.interrupt(prediction_id)

        presence = Presence(settings, database, feed, cancel, interrupt, residency.report)
        await stack.enter_async_context(presence.announced())
        ledger = Ledger(database, presence)
        files = Files(settings, database, client)
        queues = Queues(database, settings, bells)
        stack.push_async_callback(queues.close)
        await queues.take(BUILD_QUEUE, "build", Builder(database, residency).build, _BUILDS_AT_ONCE)
        trainer = Trainer(settings, database, ledger, files, residency, needed, trainings)
        await queues.take(TRAIN_QUEUE, "train", trainer.train, _TRAININGS_AT_ONCE)

        taken: set[str] = set()

        async def follow_queues() -> None:
            wanted = set(await open_queues(database.redis))
            for version_id in wanted - taken:
                job = Predictor(settings, database, ledger, files, residency.resident(version_id)).predict
                await queues.take(predict_queue(version_id), "predict", job, seats=1)
                taken.add(version_id)
            for version_id in taken - wanted:
                await queues.leave(predict_queue(version_id))
                taken.remove(version_id)

        hurried = await _until_stopped(_regularly(follow_queues, _LOOK_FOR_QUEUES_SECONDS))
        presence.keep_claims()
        await queues.drain(hurried)


async def deliver(settings: Settings) -> None:
    """Send webhooks and reconcile until asked to stop."""
    async with _opened(settings) as (database, bells, stack):
        name = new_id()
        stack.enter_context(living(settings.home, name))
        client = await stack.enter_async_context(Outbound(settings.webhook_allow_cidrs))
        queues = Queues(database, settings, bells)
        stack.push_async_callback(queues.close)
        # What a sender notes may be forgotten: the message is then sent again under the same id.
        notes = Database(settings, database.redis, JOBS_WAIT, waits_for_disk=False)
        stack.push_async_callback(notes.close)
        sender = Sender(settings, notes, client, name)
        for queue in (DELIVER_QUEUE, DUE_QUEUE):
            job = partial(sender.deliver, is_news=queue == DELIVER_QUEUE)
            await queues.take(queue, "deliver", job, PLACES)
        stack.push_async_callback(end, start(Leftovers(settings, database).run()))
        stack.push_async_callback(end, start(_regularly(sender.look_after_claims, _LOOK_AFTER_CLAIMS_SECONDS)()))
        sweep = Sweep(settings, database, name, partial(sender.deliver, queues.workers[DELIVER_QUEUE]))
        await queues.drain(await _until_stopped(sweep.run))
        await sender.release()


def _residency(settings: Settings, provisions: Provisions) -> Residency:
    limit = timedelta(seconds=settings.setup_seconds)
    host = HostMemory(settings.model_memory_bytes or usual_budget())
    return Residency(settings.home, limit, provisions, [host, *gpus()])


def provisions(settings: Settings, database: Database, client: httpx.AsyncClient) -> Provisions:
    """Environments and weights of this host's models; `client` is to be used for what users name."""
    limit = timedelta(seconds=settings.build_seconds)
    download = partial(fetch, client, total=limit, cap_bytes=settings.max_archive_bytes)
    weights = Weights(settings.home, download, limit)
    count_accounts = partial(persistently, partial(accounts.count, database))
    folder_of, find_kept = partial(predictions_folder, settings.home), partial(kept_places, settings)
    seclusion = Seclusion(settings.isolation, count_accounts, folder_of, find_kept)
    return Provisions(Environments(settings.home, limit), weights, OwnFiles(settings, database).weights_of, seclusion)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, RedisPool, AsyncExitStack]]:
    redis = open_redis(settings.redis_url, connections=200)
    waiting = open_listening_redis(settings.redis_url, connections=_QUEUES_MAX)
    database = Database(settings, redis, JOBS_WAIT)
    try:
        await first_look.look(database)
        async with AsyncExitStack() as stack:
            yield database, waiting, stack
    finally:
        await redis.aclose()
        await waiting.aclose()
        await database.close()


def _regularly(chore: Callable[[], Awaitable[None]], seconds: float) -> Callable[[], Coroutine[Any, Any, None]]:
    async def run() -> None:
        while True:
            try:
                await chore()
            except (RedisError, OSError) as error:
                _log.warning("redis unreachable", error=str(error))
            await asyncio.sleep(seconds)

    return run


async def _until_stopped(work: Callable[[], Awaitable[None]]) -> asyncio.Event:
    """Until SIGTERM or SIGINT, of which a second one sets what is returned: then nobody wants to wait.

    If the work ends by itself the process must not go on without it.
    """
    stopped, hurried = asyncio.Event(), asyncio.Event()

    def take() -> None:
        (hurried if stopped.is_set() else stopped).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, take)
    waiting = asyncio.create_task(stopped.wait())
    working = asyncio.ensure_future(work())
    done, _ = await asyncio.wait({waiting, working}, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    waiting.cancel()
    if working in done:
        working.result()
    return hurried
