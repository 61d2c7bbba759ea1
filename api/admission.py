"""Whether one more prediction may wait: by what its account, its model and all together have waiting already.

That is counted in the database once a second, and again before anybody is refused, once for all who ask meanwhile.
Between two counts this process adds what it lets in itself. So several processes may together let in what each of them
may within a second.
"""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import structlog
from sqlalchemy import CompoundSelect, SelectBase, bindparam, func, literal, select, union_all
from sqlalchemy.exc import SQLAlchemyError

from shared.contract import Kind, Status
from shared.database import Database, clock
from shared.errors import Overloaded, QueueFull, TooManyAtOnce
from shared.lifecycle import Request
from shared.settings import Settings
from shared.tables import Prediction
from shared.tasks import end

_COUNT_AGAIN_SECONDS = 1.0
_COSTS_AT_MOST = 0.2
"""Of the time; a count that takes long is made less often."""
_REFUSED_WITHIN_SECONDS = 0.25
"""Where a count takes so long that the next is further away, the last one has to do."""
_RETRY_SECONDS_MAX = 60
_log = structlog.get_logger()


@dataclass(slots=True)
class _Load:
    """What waits, and of each account what runs besides."""

    of_account: Counter[str] = field(default_factory=Counter)
    of_version: Counter[str] = field(default_factory=Counter)
    accounts_of: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """What each account has waiting for a version."""
    waited_seconds: dict[str, float] = field(default_factory=dict)
    """How long the first of a version has waited."""

    @property
    def waiting(self) -> int:
        return self.of_version.total()

    def add_waiting(self, account_id: str, queue: str, number: int) -> None:
        self.of_account[account_id] += number
        self.of_version[queue] += number
        self.accounts_of[queue][account_id] += number


class Admission:
    """That of this process. Owns the task that counts."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._limits = settings
        self._database = database
        self._load = _Load()
        self._being_stored: dict[str, tuple[str, str]] = {}
        self._uncounted: dict[str, tuple[str, str]] = {}
        """Let in while a count is made, or being stored when it began: it leaves them out. What is stored between that
        and the database's answer may count twice until the next: rather one refused than one too many."""
        self._counted_until = self._rests_until = 0.0
        self._counting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Admission":
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._counting:
            await end(self._counting)

    @asynccontextmanager
    async def place(self, request: Request, account_max: int | None = None) -> AsyncIterator[None]:
        """Where it is stored: it counts as waiting from now on. Raises TooManyAtOnce, QueueFull or Overloaded.

        `account_max` is the account's own limit where it has one.
        """
        most = self._limits.account_predictions_max if account_max is None else account_max
        await self._let_in(request, most)
        place = request.account_id, _queue(request.kind, request.version_id)
        self._load.add_waiting(*place, 1)
        self._being_stored[request.id] = self._uncounted[request.id] = place
        try:
            yield
        except BaseException:
            self._load.add_waiting(*place, -1)
            self._uncounted.pop(request.id, None)
            raise
        finally:
            del self._being_stored[request.id]

    async def _let_in(self, request: Request, account_max: int) -> None:
        if self._counted_until < monotonic():
            self._counted()
        for _ in range(2):  # what was full a moment ago need not be so now, and a count under way began before
            if self._refusal(request, account_max) and self._rests_until < monotonic() + _REFUSED_WITHIN_SECONDS:
                await asyncio.shield(self._counted())
        if refusal := self._refusal(request, account_max):
            raise refusal

    def _counted(self) -> "asyncio.Task[None]":
        """The count that is being made, or one that begins as soon as it may."""
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        return self._counting

    def _refusal(self, request: Request, account_max: int) -> TooManyAtOnce | QueueFull | Overloaded | None:
        load, limits, queue = self._load, self._limits, _queue(request.kind, request.version_id)
        if 0 < account_max <= load.of_account[request.account_id]:
            return TooManyAtOnce(account_max)
        if 0 < limits.model_backlog_max <= load.of_version[queue] and not self._has_less_than_its_share(request):
            waited = load.waited_seconds.get(queue, 0.0)
            a_place_is_free_after = math.ceil(waited / load.of_version[queue])
            return QueueFull(request.model, limits.model_backlog_max, min(a_place_is_free_after, _RETRY_SECONDS_MAX))
        if 0 < limits.backlog_max <= load.waiting:
            return Overloaded()
        return None

    def _has_less_than_its_share(self, request: Request) -> bool:
        """Of the places of a version. It is let in although all are taken: nobody is shut out by others."""
        waiting = self._load.accounts_of[_queue(request.kind, request.version_id)]
        others = sum(account_id != request.account_id and number > 0 for account_id, number in waiting.items())
        return waiting[request.account_id] < max(1, self._limits.model_backlog_max // (others + 1))

    async def _count(self) -> None:
        await asyncio.sleep(self._rests_until - monotonic())
        began, load = monotonic(), _Load()
        try:
            async with self._database.reading() as connection:
                self._uncounted = self._being_stored.copy()
                rows = (await connection.execute(_QUERY, {"uncounted": list(self._uncounted)})).all()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("backlog not counted", error=type(error).__name__)
            self._counted_until = self._rests_until = monotonic() + _COUNT_AGAIN_SECONDS
            return
        for row in rows:
            _take_over(load, row)
        for place in self._uncounted.values():
            load.add_waiting(*place, 1)
        self._load = load
        self._rests_until = monotonic() + (monotonic() - began) / _COSTS_AT_MOST
        self._counted_until = max(monotonic() + _COUNT_AGAIN_SECONDS, self._rests_until)


def _queue(kind: str, version_id: str) -> str:
    """All trainings stand in one."""
    return kind if kind == Kind.TRAINING else version_id


def _take_over(load: _Load, row: Any) -> None:
    if not row.is_waiting:
        load.of_account[row.account_id] += row.number
        return
    queue = _queue(row.kind, row.version_id)
    load.add_waiting(row.account_id, queue, row.number)
    waited = (row.now - row.since).total_seconds()
    load.waited_seconds[queue] = max(waited, load.waited_seconds.get(queue, 0.0))


def _groups(status: Status, is_waiting: bool) -> SelectBase:
    # One status at a time: each has an index of its own.
    groups = (Prediction.account_id, Prediction.version_id, Prediction.kind)
    counted = func.count().label("number"), func.min(Prediction.queued_at).label("since"), clock().label("now")
    return (
        select(*groups, *counted, literal(is_waiting).label("is_waiting"))
        .where(Prediction.status == status, Prediction.id.not_in(bindparam("uncounted", expanding=True)))
        .group_by(*groups)
    )


_WAITING, _RUNNING = _groups(Status.STARTING, is_waiting=True), _groups(Status.PROCESSING, is_waiting=False)
_QUERY: CompoundSelect[Any] = union_all(_WAITING, _RUNNING)
