"""This worker's claims, progress and endings, written several at a time, and who tells streams.

What they mean is defined in `lifecycle`.
"""

from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Row

from shared import lifecycle, owed
from shared.contract import WebhookEvent
from shared.database import Database
from shared.lifecycle import Ending, Progress
from worker.presence import Presence
from worker.teller import Teller
from worker.together import Together


class Ledger:
    """One per process: under load each costs a fraction of a transaction."""

    def __init__(self, database: Database, presence: Presence) -> None:
        self._database = database
        self._presence = presence
        self._claims = Together(self._claim)
        self._endings = Together(self._finish)
        self._saves = Together(self._save)
        self.teller = Teller(database)

    @property
    def worker_id(self) -> str:
        """In whose name it is written."""
        return self._presence.id

    def carrying(self, prediction_id: str) -> AbstractContextManager[None]:
        """To be held from before the claim until after the ending."""
        return self._presence.carrying(prediction_id)

    async def claim(self, prediction_id: str, delivery: int) -> Row[Any] | None:
        """The prediction's row, now ours; None if it went to somebody else or was canceled."""
        return await self._claims((prediction_id, delivery))

    async def finish(self, ending: Ending) -> bool:
        """Whether the attempt was still allowed to end it."""
        return await self._endings(ending)

    async def save(self, progress: tuple[Progress, WebhookEvent, int]) -> bool:
        """Progress, what is new in it, and the number of this save; whether the attempt was still allowed to."""
        return await self._saves(progress)

    async def _claim(self, wanted: list[tuple[str, int]]) -> list[Row[Any] | None]:
        async with self._database.single_statement() as transaction:
            rows = await lifecycle.claim(transaction, wanted, self._presence.id)
        if told := [row for row in rows.values() if owed.is_wanted(row, WebhookEvent.START)]:
            # If this fails the caller gets nothing, and the heartbeat gives the claims back.
            async with self._database.transaction() as transaction:
                for row in told:
                    await lifecycle.tell_start(transaction, row)
        # Each row once, and only for the delivery it was claimed by: a stale one may stand in the same batch.
        return [
            rows.pop(prediction_id) if prediction_id in rows and rows[prediction_id].delivery == delivery else None
            for prediction_id, delivery in wanted
        ]

    async def _finish(self, endings: list[Ending]) -> list[bool]:
        [first, *others] = endings
        if not others and lifecycle.takes_one_statement(first, self._database.joins_writes):
            async with self._database.single_statement() as transaction:
                return [await lifecycle.finish(transaction, first)]
        async with self._database.transaction() as transaction:
            return [await lifecycle.finish(transaction, ending) for ending in endings]

    async def _save(self, saves: list[tuple[Progress, WebhookEvent, int]]) -> list[bool]:
        async with self._database.transaction() as transaction:
            return [await lifecycle.record(transaction, *save) for save in saves]
