"""This worker's sign of life with what it tells of its models, and what it hears to be canceled.

A row with a lease by the database's clock, and a `life_sign` by which processes of the same host know at once that it
has died. What becomes of a dead worker's predictions is decided in `sweep`.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
from sqlalchemy import insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from shared import lifecycle
from shared.contract import Status
from shared.database import Database, clock
from shared.ids import new_id
from shared.live import Feed, cancel_channel
from shared.settings import Settings
from shared.tables import Prediction, Worker
from shared.tasks import end, start
from worker.life_sign import give_sign, take_back

HOST = socket.gethostname()
_CLAIMED = (
    Prediction.id,
    Prediction.status,
    Prediction.delivery,
    Prediction.attempt,
    Prediction.cancel_requested_at,
)
_log = structlog.get_logger()


class Presence:
    """A worker's session. `id` changes when it was taken for dead and came back: its old claims are void."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        feed: Feed,
        cancel: Callable[[str], None],
        interrupt: Callable[[str], None],
        report: Callable[[], dict[str, Any]],
    ) -> None:
        self.id = ""
        self._settings = settings
        self._database = database
        self._feed = feed
        self._cancel = cancel
        self._interrupt = interrupt
        self._report = report
        self._told: dict[str, Any] = {}
        self._sign = -1
        self._carried: Counter[str] = Counter()
        self._is_stopping = False

    @contextmanager
    def carrying(self, prediction_id: str) -> Iterator[None]:
        """While inside, a job of ours answers for this prediction; a claim nobody answers for is given back."""
        self._carried[prediction_id] += 1
        try:
            yield
        finally:
            self._carried -= Counter([prediction_id])

    def keep_claims(self) -> None:
        """From now on what no job answers for was cut off by a stop, and is told so by the sign-off."""
        self._is_stopping = True

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Be known as alive while inside; on leaving be known as gone."""
        await self._register()
        beating = start(self._beat())
        try:
            yield
        finally:
            await end(beating)
            await self._sign_off()

    async def _register(self) -> None:
        """A new name is used only once the database knows it: claims under any other would be nobody's."""
        name = new_id()
        sign = give_sign(self._settings.home, name)
        row = {"id": name, "host": HOST, "is_lost": False, "last_seen": clock(), "created_at": clock()}
        try:
            async with self._database.transaction() as transaction:
                await transaction.execute(insert(Worker).values(**row))
        except BaseException:
            take_back(self._settings.home, name, sign)
            raise
        former, self.id, self._sign = (self.id, self._sign), name, sign
        self._told = {}
        if former[0]:
            take_back(self._settings.home, *former)
        _log.info("worker registered", worker_id=self.id)

    async def _sign_off(self) -> None:
        try:
            async with self._database.transaction() as transaction:
                gone = update(Worker).where(Worker.id == self.id).values(is_lost=True, stopped_at=clock())
                await transaction.execute(gone)
        except (SQLAlchemyError, OSError) as error:  # the lease runs out instead
            _log.warning("could not sign off", error=type(error).__name__)
        take_back(self._settings.home, self.id, self._sign)

    async def _beat(self) -> None:
        while True:
            async with self._feed.follow(cancel_channel(self.id)) as heard:
                session = self.id
                while session == self.id:
                    await self._listen(heard)
                    await self._renew()

    async def _listen(self, heard: "asyncio.Queue[bytes]") -> None:
        """Cancel what is told, until the next beat is due."""
        try:
            async with asyncio.timeout(self._settings.heartbeat_seconds):
                while True:
                    self._cancel((await heard.get()).decode())
        except TimeoutError:
            return

    async def _renew(self) -> None:
        """One beat; what is claimed in our name comes back with it, in case a word to cancel or an answer was lost."""
        report = self._report()
        news = {} if report == self._told else {"report": report}
        alive = update(Worker).where(Worker.id == self.id, Worker.is_lost.is_(False)).values(last_seen=clock(), **news)
        mine = select(*_CLAIMED).where(Prediction.worker_id == self.id, Prediction.status == Status.PROCESSING)
        try:
            async with self._database.transaction() as transaction:
                is_known = (await transaction.execute(alive)).rowcount == 1
                claimed = (await transaction.execute(mine)).all()
                for row in claimed:
                    if self._is_nobodys(row.id) and await lifecycle.disown(transaction, row):
                        _log.warning("claim without a job given back", prediction_id=row.id)
            self._told = report
            for row in claimed:
                if row.cancel_requested_at:
                    self._cancel(row.id)
            if not is_known:
                _log.warning("taken for dead, registering anew", worker_id=self.id)
                await self._register()
                for prediction_id in list(self._carried):
                    self._interrupt(prediction_id)  # others may run it by now
        except (SQLAlchemyError, OSError) as error:
            _log.warning("heartbeat failed", error=type(error).__name__)

    def _is_nobodys(self, prediction_id: str) -> bool:
        return not self._carried[prediction_id] and not self._is_stopping
