"""One version on this host: its processes, which of them a prediction goes to, and what is told of it.

One process and its restarts stand in `instance`; which of several gives way when memory gets short, in `residency`.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from shared.contract import Residence
from shared.deployments import Bounds
from shared.rendering import moment
from shared.tasks import end
from worker.events import Canceled, Done, SetupFailed
from worker.failures import Failures
from worker.instance import Instance
from worker.process import ModelProcess
from worker.provisions import Provisions
from worker.shelf import Say
from worker.tally import Tally

Amount = TypeVar("Amount", int, float)

_LOGS_TOLD = 4096
"""Characters of what a process printed outside predictions, told with every change."""
_NO_ROOM_SECONDS = 5.0
"""Until it is asked again whether memory allows one process more."""
_CANCELED_KEPT = 256
"""A cancel that comes between claim and start must not be lost; what a user canceled is not run again."""


def _storable(text: str) -> str:
    """A process may send anything, but no database takes everything."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


class Resident:
    """One version on this host: one process, or as many as its deployments allow."""

    def __init__(
        self,
        version_id: str,
        folder: Path,
        setup_limit: timedelta,
        provisions: Provisions,
        make_room: Callable[[Mapping[str, int]], Awaitable[bool]],
    ) -> None:
        self.version_id = version_id
        self.folder = folder
        self.failures = Failures()
        self.tally = Tally()
        self._setup_limit = setup_limit
        self._provisions = provisions
        self._make_room = make_room
        self._news = asyncio.Event()
        self._bounds = Bounds()
        self._instances = [self._instance()]
        self._growth: asyncio.Task[None] | None = None
        self._retiring: dict[Instance, asyncio.Task[None]] = {}
        self._canceled: deque[str] = deque(maxlen=_CANCELED_KEPT)
        self._prepared: dict[str, asyncio.Timeout] = {}

    @property
    def instances(self) -> list[Instance]:
        """Also those that are about to end."""
        return [*self._instances, *self._retiring]

    @property
    def concurrency(self) -> int:
        """Predictions it can run at once as it is."""
        return sum(each.concurrency for each in self._instances if each.is_set_up) or self._next.concurrency

    @property
    def may_grow(self) -> bool:
        """Whether there may be one process more beside those there are."""
        return self._bounds.most > 1 and not all(each.is_coming for each in self._instances)

    @property
    def _may_have_more(self) -> bool:
        """Whether there may be, or comes, one process more than is set up."""
        return self._bounds.most > 1 and not all(each.is_set_up for each in self._instances)

    def honour(self, bounds: Bounds) -> None:
        """Keep up as many processes as deployments want, and have no more than they allow.

        Where all are stopped the processes leave; the version itself can still be run, by one process.
        """
        if bounds != self._bounds:
            kept = sorted(self._instances, key=lambda each: not each.is_coming)[: bounds.most]
            for instance in set(self._instances).difference(kept):
                self._retire(instance)
            self._bounds = bounds
            self._instances = kept + [self._instance() for _ in range(max(1, bounds.most) - len(kept))]
        for index, instance in enumerate(self._instances):
            instance.is_pinned = index < bounds.least
            if instance.is_pinned:
                instance.wake()

    async def ready(self) -> ModelProcess:
        """A process that has finished its setup; raises SetupFailed."""
        return await self._next.ready()

    async def room(self, jobs: int) -> None:
        """Returns when a process is ready for one of so many jobs; raises SetupFailed.

        Where there are more than it can run at once, another process is started if it may and memory allows, and
        whichever comes first is waited for, that or a free seat.
        """
        while jobs > self.concurrency and self._may_have_more and self._next.is_set_up and not self._next.has_seat:
            if self.may_grow and (self._growth is None or self._growth.done()):
                self._growth = asyncio.create_task(self._grow())
            await self._something_new()
        await self.ready()

    def expecting(self) -> AbstractContextManager[None]:
        """While inside, a prediction is claimed: a process for it is kept, though it has no seat yet."""
        return self._next.expecting()

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[ModelProcess]:
        """A ready process with room for one prediction, the least busy; raises SetupFailed."""
        while not (instance := self._next).has_seat:
            await self._something_new()
        instance.enter()
        try:
            yield await instance.ready()
        finally:
            instance.leave()

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

    async def process(self, say: Say) -> ModelProcess:
        """A process with its schema known, started if need be; raises SetupFailed. `say` hears how that goes."""
        return await self._next.process(say)

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
        return any([instance.interrupt(prediction_id) for instance in self.instances])

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
        return self._next.is_up

    @property
    def group(self) -> int | None:
        """The process group of the process that the next prediction goes to, while there is one."""
        return self._next.group

    @property
    def is_in_use(self) -> bool:
        """Whether a prediction runs or is about to."""
        return any(each.in_use for each in self._instances)

    @property
    def state(self) -> Residence:
        """What the next prediction would meet."""
        if self._next.complaint:
            return Residence.UNHEALTHY
        if self._next.is_set_up:
            return Residence.BUSY if self.is_in_use else Residence.WARM
        if self._next.is_coming:
            return Residence.STARTING
        return Residence.UNHEALTHY if self.failures.is_unhealthy else Residence.COLD

    def report(self) -> dict[str, Any] | None:
        """What others may know; None if there is nothing to tell. Equal as long as nothing changes."""
        state, failures, shown = self.state, self.failures, self._next
        if state == Residence.COLD and not failures.count and not self._bounds.most:
            return None
        is_left_alone = state == Residence.UNHEALTHY and not shown.is_up
        error, printed = (failures.last.message, failures.last.logs) if failures.last else (None, "")
        return {
            "version": self.version_id,
            "state": state,
            "pid": shown.group,
            "memory": self._taken_bytes(),
            "figures": _sums(each.figures for each in self.instances),
            "running": sum(each.in_use for each in self.instances),
            "concurrency": self.concurrency,
            "instances": sum(each.is_up for each in self.instances),
            "min_instances": self._bounds.least if self._bounds.most else None,
            "max_instances": self._bounds.most or None,
            "last_used_at": moment(max(each.last_used for each in self.instances)),
            "failures": failures.count,
            "error": _storable(shown.complaint or error or "") or None,
            "retry_at": moment(failures.retry_at) if failures.retry_at and is_left_alone else None,
            "logs": _storable((shown.printed if shown.is_up else printed)[-_LOGS_TOLD:]),
        }

    async def unload(self) -> None:
        """End the processes nobody uses; the next prediction starts one again."""
        for instance in self._instances:
            await instance.unload()

    async def stop(self) -> None:
        """End every process for good."""
        instances = self.instances
        await end(*self._retiring.values(), *([self._growth] if self._growth else []))
        await asyncio.gather(*(each.stop() for each in instances))

    @property
    def _next(self) -> Instance:
        """Where the next prediction goes: to the least busy that is set up, else to one that is coming.

        One that says that it is not well is passed over where another has a seat, but it works on, as Cog has it.
        """
        set_up = [each for each in self._instances if each.is_set_up]
        if set_up:
            return min(set_up, key=_reluctance)
        return next((each for each in self._instances if each.is_coming), self._instances[0])

    def _instance(self) -> Instance:
        return Instance(self.version_id, self.failures, self._launch, self._news)

    async def _grow(self) -> None:
        if not await self._make_room(self.usual_bytes()):
            await asyncio.sleep(_NO_ROOM_SECONDS)  # to look at memory costs more than a quick prediction
        elif self.may_grow:
            next(each for each in self._instances if not each.is_coming).wake()

    async def _something_new(self) -> None:
        self._news.clear()  # nothing is awaited between the question and this, so no wake-up is lost
        await self._news.wait()

    def _retire(self, instance: Instance) -> None:
        self._retiring[instance] = retiring = asyncio.create_task(instance.retire())
        retiring.add_done_callback(lambda _: self._retiring.pop(instance))

    def _taken_bytes(self) -> dict[str, int]:
        return _sums(instance.taken_bytes for instance in self.instances if instance.is_up)

    def usual_bytes(self) -> dict[str, int]:
        """What one process takes, as far as that is known."""
        return max((each.taken_bytes for each in self._instances), key=lambda taken: sum(taken.values()))

    async def _launch(self, say: Say) -> ModelProcess:
        await self._make_room(self.usual_bytes())
        try:
            needed = await self._provisions.of_version(self.version_id, self.folder, say)
            return await ModelProcess.start(
                self.folder,
                python=needed.python,
                weights=needed.weights,
                enclosure=needed.enclosure,
                setup_limit=self._setup_limit,
                on_setup_log=say,
            )
        except SetupFailed as failure:
            self.failures.add(failure)
            raise


def _sums(parts: Iterable[Mapping[str, Amount]]) -> dict[str, Amount]:
    """By name, over all parts."""
    sums: dict[str, Amount] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums[name] + value if name in sums else value
    return sums


def _reluctance(instance: Instance) -> tuple[bool, bool, float]:
    return not instance.has_seat, instance.complaint is not None, instance.in_use / instance.concurrency
