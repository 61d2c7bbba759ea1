"""Which model processes are up on this host: started when first needed, kept while there is room, started again when
they die.

How one is spoken to stands in `process`; what runs on it is decided in `predict`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic

import structlog

from shared.storage import version_folder
from shared.tasks import end
from worker import memory
from worker.events import Canceled, SetupFailed
from worker.process import ModelProcess
from worker.provisions import Provisions
from worker.shelf import Say

_BACK_OFF_SECONDS = (0.0, 1.0, 5.0, 15.0, 60.0)
"""Between starts of a model that keeps dying or failing."""
_STEADY_SECONDS = 60.0
"""A process that lived this long owes its death to what it ran, not to its start."""
_LOOK_SECONDS = 5.0
"""Between looks at the memory that models take."""
_CANCELED_KEPT = 256
"""A cancel that comes between claim and start must not be lost; what a user canceled is not run again."""
_log = structlog.get_logger()


def _drop(text: str) -> None:
    """For when nobody listens."""


class Resident:
    """One version on this host."""

    def __init__(
        self,
        version_id: str,
        folder: Path,
        setup_limit: timedelta,
        provisions: Provisions,
        make_room: Callable[[int], Awaitable[None]],
    ) -> None:
        self.version_id = version_id
        self.folder = folder
        self.last_used = monotonic()
        self.taken_bytes = 0
        """What its process took when it was last looked at."""
        self._setup_limit = setup_limit
        self._provisions = provisions
        self._make_room = make_room
        self._in_use = 0
        self._process: ModelProcess | None = None
        self._seats = asyncio.Semaphore(1)
        self._starting = asyncio.Lock()
        self._canceled: deque[str] = deque(maxlen=_CANCELED_KEPT)
        self._prepared: dict[str, asyncio.Timeout] = {}
        self._failures = 0
        self._not_before = 0.0
        self._last_failure: SetupFailed | None = None
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
                self.last_used = monotonic()

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
        While a model that keeps failing is backed off, the last failure is raised again at once.
        """
        async with self._starting:
            if self._process is None or not self._process.alive:
                self._refuse_while_backed_off()
                self._process = await self._start(say)
            return self._process

    def cancel(self, prediction_id: str) -> None:
        """Interrupt a prediction if it runs here, and keep it from starting if it is about to."""
        self._canceled.append(prediction_id)
        self.interrupt(prediction_id)

    def interrupt(self, prediction_id: str) -> None:
        """Stop the run of an attempt that is no longer the one that counts; a later one may well run here."""
        if limit := self._prepared.get(prediction_id):
            limit.reschedule(0)
        if self._process:
            self._process.cancel(prediction_id)

    def is_canceled(self, prediction_id: str) -> bool:
        """Whether it was to be canceled before it began to run: ask right before it does."""
        return prediction_id in self._canceled

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

    async def unload(self) -> None:
        """End the process if nobody uses it; the next prediction starts it again."""
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

    def _refuse_while_backed_off(self) -> None:
        if self._last_failure and monotonic() < self._not_before:
            raise self._last_failure

    async def _start(self, say: Say) -> ModelProcess:
        await self._make_room(self.taken_bytes)
        self.last_used = monotonic()
        try:
            needed = await self._provisions.of_version(self.version_id, self.folder, say)
            process = await ModelProcess.start(
                self.folder,
                python=needed.python,
                weights=needed.weights,
                setup_limit=self._setup_limit,
                on_setup_log=say,
            )
        except SetupFailed as failure:
            self._failed(failure)
            raise
        self._seats = asyncio.Semaphore(process.concurrency)
        self._watch = asyncio.create_task(self._keep_up(process))
        return process

    def _failed(self, failure: SetupFailed | None) -> None:
        wait = _BACK_OFF_SECONDS[min(self._failures, len(_BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._not_before = monotonic() + wait
        self._last_failure = failure

    async def _keep_up(self, process: ModelProcess) -> None:
        """Start the model again as soon as it dies, so that the next prediction need not wait for it."""
        started = monotonic()
        try:
            await process.ready()
            self._last_failure = None
            await process.wait_closed()
        except SetupFailed as failure:
            self._failed(failure)
            return  # the next prediction tries again once the back-off is over
        _log.warning("model process died", version_id=self.version_id)
        self._failures = 0 if monotonic() - started > _STEADY_SECONDS else self._failures
        self._failed(None)
        await asyncio.sleep(self._not_before - monotonic())
        try:
            await self.process()
        except SetupFailed as failure:
            _log.warning("model does not start", version_id=self.version_id, error=failure.message)


class Residency:
    """All versions on this host.

    Together their processes take `budget_bytes` of memory. Above that idle ones are ended, the least recently used
    first; what is in use stays, whatever it takes.
    """

    def __init__(self, home: Path, setup_limit: timedelta, provisions: Provisions, budget_bytes: int) -> None:
        self._home = home
        self._provisions = provisions
        self._setup_limit = setup_limit
        self._budget_bytes = budget_bytes
        self._residents: dict[str, Resident] = {}

    def resident(self, version_id: str) -> Resident:
        """The one resident of a version."""
        if version_id not in self._residents:
            folder = version_folder(self._home, version_id)
            self._residents[version_id] = Resident(
                version_id, folder, self._setup_limit, self._provisions, self.make_room
            )
        return self._residents[version_id]

    async def keep_within_budget(self) -> None:
        """For ever: models may grow while they work."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.make_room(0)

    async def make_room(self, wanted_bytes: int) -> None:
        """End idle processes until so much is free, or none is idle."""
        up = {group: resident for resident in self._residents.values() if (group := resident.group)}
        taken = await asyncio.to_thread(memory.taken_by, up.keys())
        for group, resident in up.items():
            resident.taken_bytes = taken.get(group, 0)
        excess = sum(taken.values()) + wanted_bytes - self._budget_bytes
        for resident in sorted(up.values(), key=lambda each: each.last_used):
            if excess <= 0:
                return
            if resident.is_idle:
                _log.info("model unloaded to make room", version_id=resident.version_id, bytes=resident.taken_bytes)
                await resident.unload()
                excess -= resident.taken_bytes

    def cancel(self, prediction_id: str) -> None:
        """Interrupt a prediction wherever it runs, and keep it from starting."""
        for resident in self._residents.values():
            resident.cancel(prediction_id)

    def interrupt(self, prediction_id: str) -> None:
        """Stop an attempt that no longer counts, wherever it runs."""
        for resident in self._residents.values():
            resident.interrupt(prediction_id)

    async def stop(self) -> None:
        """End every process."""
        await asyncio.gather(*(resident.stop() for resident in self._residents.values()))
