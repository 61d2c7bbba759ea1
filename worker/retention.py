"""Removes what was asked and what came of it some time after a prediction has ended.

That it was run, and how it ended, stays. A batch at a time, by whoever leads the `sweep`. Uploads have a lifetime of
their own, see `files`.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ScalarSelect, and_, delete, exists, or_, select, text, update

from shared import files
from shared.contract import Kind
from shared.creates import KEY_SECONDS
from shared.database import Database, clock
from shared.live import stream_key
from shared.settings import Settings
from shared.tables import DONE_WITH, Prediction, StatusChange, WebhookAttempt, WebhookMessage

_BATCH = 200
_IS_STILL_OWED = exists().where(
    WebhookMessage.prediction_id == Prediction.id, WebhookMessage.state.in_(("pending", "delivering"))
)
_IS_KEPT = or_(Prediction.example_since.is_not(None), Prediction.kind == Kind.TRAINING)
_MAY_GO = and_(Prediction.data_removed_at.is_(None), ~_IS_KEPT, ~_IS_STILL_OWED)
"""What is to be spared is said here, and nowhere else."""
_REMOVED: dict[str, Any] = {"input": {}, "output": None, "logs": "", "stream_token": None}


@dataclass(frozen=True, slots=True)
class Retention:
    """Of all accounts; how long depends on where a prediction was made."""

    settings: Settings
    database: Database

    async def apply(self) -> None:
        """One batch of each kind."""
        kept = {"api": self.settings.api_data_seconds, "web": self.settings.web_data_seconds}
        for source, seconds in kept.items():
            if seconds:
                await self._remove_data(source, seconds)
        await self._forget_creates()

    async def _remove_data(self, source: str, seconds: float) -> None:
        """What is outside of the rows goes first, so that whatever is interrupted is found again."""
        is_over = and_(Prediction.source == source, Prediction.completed_at < _ago(seconds))
        query = select(Prediction.id).where(_MAY_GO, is_over).order_by(Prediction.completed_at).limit(_BATCH)
        async with self.database.reading() as connection:
            ids = (await connection.execute(query)).scalars().all()
        if not ids:
            return
        await files.remove_outputs(self.database, self.settings.home, ids)
        await self.database.redis.delete(*map(stream_key, ids))
        are_of_these = and_(WebhookMessage.prediction_id.in_(ids), text(f"({DONE_WITH})"))
        told = WebhookAttempt.message_id.in_(select(WebhookMessage.id).where(WebhookMessage.prediction_id.in_(ids)))
        async with self.database.transaction() as transaction:
            await transaction.execute(update(WebhookMessage).where(are_of_these).values(body=b""))
            # An answer may repeat what was sent.
            await transaction.execute(update(WebhookAttempt).where(told).values(response=None))
            removed = {**_REMOVED, "data_removed_at": clock()}
            await transaction.execute(update(Prediction).where(Prediction.id.in_(ids), _MAY_GO).values(removed))
            await transaction.execute(delete(StatusChange).where(StatusChange.prediction_id.in_(ids)))

    async def _forget_creates(self) -> None:
        """By what a create would have been known again: its key may be used anew."""
        is_old = and_(Prediction.fingerprint.is_not(None), Prediction.created_at < _ago(KEY_SECONDS))
        old = select(Prediction.id).where(is_old).limit(_BATCH)
        async with self.database.single_statement() as transaction:
            forgotten = {"create_key": None, "fingerprint": None}
            await transaction.execute(update(Prediction).where(Prediction.id.in_(old)).values(forgotten))


def _ago(seconds: float) -> ScalarSelect[Any]:
    """As a subquery: Postgres takes a function that changes within a statement for no bound of an index."""
    return select(clock(-seconds)).scalar_subquery()
