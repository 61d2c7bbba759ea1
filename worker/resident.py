"""One version on this host: its process, started when first needed and again when it dies, and what is told of it.

How a process is spoken to stands in `process`; which of several gives way when memory gets short, in `residency`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from shared.contract import Residence
from shared.rendering import moment
from shared.tasks import end
from worker.events import Canceled, Done, SetupFailed
from worker.failures import Failures
from worker.process import ModelProcess
from worker.provisions import Provisions
from worker.shelf import Say
from worker.tally import Tally

_STEADY_SECONDS = 60.0
"""A process that lived this long is well, whatever became of those before it."""
_LOGS_TOLD = 4096
"""Characters of what a process printed outside predictions, told with every change."""
_CANCELED_KEPT = 256
"""A cancel that comes between claim and start must not be lost; what a user canceled is not run again."""
_log = structlog.get_logger()


def _drop(text: str) -> None:
    """For when nobody listens."""


def _storable(text: str) -> str:
    """A process may send anything, but no database takes everything."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Resident:
    """One version on this host."""

    def __init__(
        self,
        version_id: str,
        folder: Path,
        setup_limit: timedelta,
        provisions: Provisions,
        make_room: Callable[[Mapping[str, int]], Awaitable[None]],
    ) -> None:
        self.version_id = version_id
        self.folder = folder
        self.last_used = datetime.now(UTC)
        self.taken_bytes: dict[str, int] = {}
        """What its process took of each memory when it was last looked at."""
        self.failures = Failures()
        self.tally = Tally()
        self._setup_limit = setup_limit
        self._provisions = provisions
        self._make_room = make_room
        self._in_use = 0
        self._process: ModelProcess | None = None
        self._seats = asyncio.Semaphore(1)
        self._starting = asyncio.Lock()
        self._canceled: deque[str] = deque(maxlen=_CANCELED_KEPT)
        self._prepared: dict[str, asyncio.Timeout] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def concurrency(self) -> int:
        """Predictions it can run at once."""
        return self._process.concurrency if self._process else 1

    async def ready(self) -> ModelProcess:
        """A process that has finished its setup; raises SetupFailed."""
        process = await self.process()
        await process.ready()
        return process

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[ModelProcess]:
        """A ready process with room for one prediction; raises SetupFailed."""
        async with self._seats:
            self._in_use += 1
            try:
                yield await self.ready()
            finally:
                self._in_use -= 1
                self.last_used = datetime.now(UTC)

    @asynccontextmanager
    async def preparation(self, prediction_id: str) -> AsyncIterator[None]:
        """Around what has to be done before a prediction can run; a cancel ends it with Canceled."""
        if self.is_canceled(prediction_id):
            raise Canceled
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._prepared[prediction_id] = limit
                yield
        except TimeoutError:
            if limit.expired():
                raise Canceled from None
            raise
        finally:
            self._prepared.pop(prediction_id, None)

    async def process(self, say: Say = _drop) -> ModelProcess:
        """The model's process with its schema known, started if need be; raises SetupFailed.

        `say` hears what is said while all it needs is made and it is set up, if that begins now.
        A model that has just failed is started after a while; when it is unhealthy, that is raised at once.
        """
        async with self._starting:
            if self._process is None or not self._process.alive:
                await self.failures.waited_out()
                self._process = await self._start(say)
            return self._process

    def cancel(self, prediction_id: str) -> None:
        """Interrupt a prediction if it runs here, and keep it from starting if it is about to."""
        self._canceled.append(prediction_id)
        self.interrupt(prediction_id)

    def interrupt(self, prediction_id: str) -> bool:
        """Stop the run of an attempt that is no longer the one that counts; a later one may well run here.

        Whether it ran, and was not being canceled.
        """
        if limit := self._prepared.get(prediction_id):
            limit.reschedule(0)
        return self._process is not None and self._process.cancel(prediction_id)

    def is_canceled(self, prediction_id: str) -> bool:
        """Whether it was to be canceled before it began to run: ask right before it does."""
        return prediction_id in self._canceled

    def ended(self, done: Done, metrics: Mapping[str, Any]) -> None:
        """A prediction of it has ended; one that succeeded shows that the model is well."""
        self.tally.add(done.status, done.predict_time or 0.0, metrics)
        if done.status == "succeeded":
            self.failures.forget()

    @property
    def is_up(self) -> bool:
        return self._process is not None and self._process.alive

    @property
    def group(self) -> int | None:
        """The process group, while there is one."""
        return self._process.group if self._process and self._process.alive else None

    @property
    def is_idle(self) -> bool:
        """Whether its process could be ended without anybody noticing."""
        return bool(self._process and self._process.alive and self._process.is_set_up and not self.is_in_use)

    @property
    def is_in_use(self) -> bool:
        """Whether a prediction runs in it or is about to."""
        return self._in_use > 0

    @property
    def state(self) -> Residence:
        """What the next prediction would meet."""
        if self.is_up or self._starting.locked():
            is_ready = self._process is not None and self._process.alive and self._process.is_set_up
            return (Residence.BUSY if self.is_in_use else Residence.WARM) if is_ready else Residence.STARTING
        return Residence.UNHEALTHY if self.failures.is_unhealthy else Residence.COLD

    def report(self) -> dict[str, Any] | None:
        """What others may know; None if there is nothing to tell. Equal as long as nothing changes."""
        state, failures = self.state, self.failures
        if state == Residence.COLD and not failures.count:
            return None
        error, printed = (failures.last.message, failures.last.logs) if failures.last else (None, "")
        return {
            "version": self.version_id,
            "state": state,
            "pid": self.group,
            "memory": dict(self.taken_bytes) if self.is_up else {},
            "running": self._in_use,
            "concurrency": self.concurrency,
            "last_used_at": moment(self.last_used),
            "failures": failures.count,
            "error": error and _storable(error),
            "retry_at": moment(failures.retry_at) if failures.retry_at and state == Residence.UNHEALTHY else None,
            "logs": _storable((self._process.printed if self._process and self.is_up else printed)[-_LOGS_TOLD:]),
        }

    async def unload(self) -> None:
        """End the process if nobody uses it; the next prediction starts it again."""
        if self._starting.locked():  # it is not idle then, and its start may wait for whoever is asking
            return
        async with self._starting:
            if self.is_idle:
                await self.stop()
                self._process = None

    async def stop(self) -> None:
        """End the process for good."""
        if self._watch:
            await end(self._watch)
        if self._process:
            await self._process.stop()

    async def _start(self, say: Say) -> ModelProcess:
        await self._make_room(self.taken_bytes)
        self.last_used = datetime.now(UTC)
        try:
            needed = await self._provisions.of_version(self.version_id, self.folder, say)
            process = await ModelProcess.start(
                self.folder,
                python=needed.python,
                weights=needed.weights,
                sandbox=needed.sandbox,
                setup_limit=self._setup_limit,
                on_setup_log=say,
            )
        except SetupFailed as failure:
            self.failures.add(failure)
            raise
        self._seats = asyncio.Semaphore(process.concurrency)
        if self._watch and self._watch is not asyncio.current_task():
            await end(self._watch)  # it waited to start the model itself
        self._watch = asyncio.create_task(self._keep_up(process))
        return process

    async def _keep_up(self, process: ModelProcess) -> None:
        """Start the model again as soon as it dies, so that the next prediction need not wait for it."""
        try:
            await process.ready()
            await self._outlived(process)
        except SetupFailed as failure:
            self.failures.add(failure)
            return  # the next prediction tries again once the back-off is over
        if process.fault:
            self.failures.add(SetupFailed(process.fault, process.printed))
        _log.warning("model process ended", version_id=self.version_id, fault=process.fault)
        await asyncio.sleep(self.failures.seconds_left)
        try:
            await self.process()
        except SetupFailed as failure:
            _log.warning("model does not start", version_id=self.version_id, error=failure.message)

    async def _outlived(self, process: ModelProcess) -> None:
        try:
            async with asyncio.timeout(_STEADY_SECONDS):
                await process.wait_closed()
        except TimeoutError:
            self.failures.forget()
            await process.wait_closed()
