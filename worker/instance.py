"""One process of a version: started when first needed, or without being asked if it is pinned, and again when it dies.

Which of a version's processes a prediction goes to is decided in `resident`, how it is launched too; how a process is
spoken to stands in `process`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from shared.tasks import end
from worker.events import SetupFailed
from worker.failures import Failures
from worker.process import ModelProcess
from worker.shelf import Say

_STEADY_SECONDS = 60.0
"""A process that lived this long is well, whatever became of those before it."""
_log = structlog.get_logger()


def _drop(text: str) -> None:
    """For when nobody listens."""


class Instance:
    """`launch` makes a process or raises SetupFailed; `news` is set whenever somebody who waits should look again."""

    def __init__(
        self,
        version_id: str,
        failures: Failures,
        launch: Callable[[Say], Awaitable[ModelProcess]],
        news: asyncio.Event,
    ) -> None:
        self.version_id = version_id
        self.last_used = datetime.now(UTC)
        self.taken_bytes: dict[str, int] = {}
        """What its process took of each memory when it was last looked at."""
        self.is_pinned = False
        """Whether it is to be up also while nobody asks for it."""
        self.in_use = 0
        """Predictions that run in it or are about to."""
        self._expected = 0
        self._failures = failures
        self._launch = launch
        self._news = news
        self._process: ModelProcess | None = None
        self._starting = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None

    @property
    def concurrency(self) -> int:
        """Predictions it can run at once."""
        return self._process.concurrency if self._process else 1

    async def ready(self) -> ModelProcess:
        """Its process, once that has finished its setup; raises SetupFailed."""
        process = await self.process()
        await process.ready()
        return process

    async def process(self, say: Say = _drop) -> ModelProcess:
        """Its process with its schema known, started if need be; raises SetupFailed.

        `say` hears what is said while all it needs is made and it is set up, if that begins now.
        A model that has just failed is started after a while; when it is unhealthy, that is raised at once.
        """
        try:
            async with self._starting:
                if self._process is None or not self._process.alive:
                    await self._failures.waited_out()
                    self._process = await self._start(say)
                return self._process
        finally:
            self._news.set()

    def wake(self) -> None:
        """Have it started, unless it is up or about to be."""
        if not self.is_coming and (self._watch is None or self._watch.done()):
            self._watch = asyncio.create_task(self._start_again())

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While inside, a prediction is about to enter, and its process is not ended."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1
            self._news.set()

    def enter(self) -> None:
        """One more prediction is to run in it."""
        self.in_use += 1

    def leave(self) -> None:
        """A prediction has ended."""
        self.in_use -= 1
        self.last_used = datetime.now(UTC)
        self._news.set()

    def interrupt(self, prediction_id: str) -> bool:
        """Cancel a prediction; whether it ran here, and was not being canceled."""
        return self._process is not None and self._process.cancel(prediction_id)

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def is_coming(self) -> bool:
        """Whether it is up or being started."""
        return self.is_up or self._starting.locked()

    @property
    def is_set_up(self) -> bool:
        return self._process is not None and self._process.alive and self._process.is_set_up

    @property
    def complaint(self) -> str | None:
        """Why its process, though it is set up, says that it is not well."""
        return self._process.complaint if self._process and self.is_set_up else None

    async def ask_health(self) -> None:
        """Hear from its process whether it is well, if it is set up."""
        if self._process and self.is_set_up:
            await self._process.healthcheck()

    @property
    def has_seat(self) -> bool:
        return self.in_use < self.concurrency

    @property
    def figures(self) -> Mapping[str, float]:
        """What its process tells of itself."""
        return self._process.figures.values if self._process and self.is_up else {}

    @property
    def group(self) -> int | None:
        """The process group, while there is one."""
        return self._process.group if self._process and self._process.alive else None

    @property
    def is_idle(self) -> bool:
        """Whether its process could be ended without anybody noticing."""
        return self.is_set_up and not self.in_use and not self._expected

    @property
    def printed(self) -> str:
        """What its process printed outside predictions."""
        return self._process.printed if self._process and self.is_up else ""

    async def unload(self) -> None:
        """End the process if nobody uses it; the next prediction starts it again."""
        if self._starting.locked():  # it is not idle then, and its start may wait for whoever is asking
            return
        async with self._starting:
            if self.is_idle:
                await self.stop()
                self._process = None

    async def retire(self) -> None:
        """End the process as soon as nobody uses it or waits for it."""
        self.is_pinned = False
        while self.is_coming:
            await self.unload()
            if self.is_coming:
                self._news.clear()  # nothing is awaited between the question and this, so no wake-up is lost
                await self._news.wait()
        await self.stop()

    async def stop(self) -> None:
        """End the process for good."""
        if self._watch:
            await end(self._watch)
        if self._process:
            await self._process.stop()

    async def _start(self, say: Say) -> ModelProcess:
        self.last_used = datetime.now(UTC)
        process = await self._launch(say)
        if self._watch and self._watch is not asyncio.current_task():
            await end(self._watch)  # it waited to start the model itself
        self._watch = asyncio.create_task(self._keep_up(process))
        return process

    async def _keep_up(self, process: ModelProcess) -> None:
        """Start the model again as soon as it dies, so that the next prediction need not wait for it."""
        is_due = True
        try:
            await process.ready()
            self._news.set()
            await self._outlived(process)
        except SetupFailed as failure:
            self._failures.add(failure)
            is_due = self.is_pinned  # else the next prediction tries again once the back-off is over
        else:
            if process.fault:
                self._failures.add(SetupFailed(process.fault, process.printed))
            _log.warning("model process ended", version_id=self.version_id, fault=process.fault)
        self._news.set()
        if is_due:
            await self._start_again()

    async def _start_again(self) -> None:
        """When the back-off is over: once, or until it starts if it is pinned."""
        is_due = True
        while is_due:
            await asyncio.sleep(self._failures.seconds_left)
            try:
                await self.process()
                return
            except SetupFailed as failure:
                _log.warning("model does not start", version_id=self.version_id, error=failure.message)
            except Exception as error:  # the database may be away; a pinned one must come up when it is back
                _log.error("model cannot be started", version_id=self.version_id, exc_info=error)
                self._failures.add(SetupFailed("Pinion could not start it. The worker's log says why."))
            is_due = self.is_pinned

    async def _outlived(self, process: ModelProcess) -> None:
        try:
            async with asyncio.timeout(_STEADY_SECONDS):
                await process.wait_closed()
        except TimeoutError:
            self._failures.forget()
            await process.wait_closed()
