"""The one door for every change of a prediction's status: create · claim · record · finish · cancel · redeliver.

Each change is one conditional UPDATE that says whether it took place, and writes the webhook messages that follow
from it in the same transaction. Nothing here commits, sends or runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, and_, bindparam, case, delete, insert, tuple_, update

from shared import rendering
from shared.contract import TERMINAL, Status, WebhookEvent
from shared.database import Transaction, clock
from shared.ids import new_id
from shared.live import CancelRequest, Chunk
from shared.queue import DeliverJob, PredictJob
from shared.tables import Prediction, Table, WebhookMessage
from shared.webhooks import message_id

_LAST = 2**31 - 1
"""Place of the `completed` message: behind everything else, and the same whichever attempt ends."""
_PER_ATTEMPT = 1_000_000
"""Places kept for the messages of one attempt."""
_SNAPSHOTS = frozenset({WebhookEvent.OUTPUT, WebhookEvent.LOGS})

# The statements every prediction passes are built once: building them costs more than sending them.
_ROW = Table.metadata.tables[Prediction.__tablename__]
_T = _ROW.c
_IS_RUNNING = and_(_T.id == bindparam("of_id"), _T.attempt == bindparam("of_attempt"), _T.status == Status.PROCESSING)
_CREATE = insert(_ROW).values(queued_at=clock(), created_at=clock()).returning(_ROW)
_ARE_WANTED = tuple_(_T.id, _T.delivery).in_(bindparam("wanted", expanding=True))
_CLAIM = (
    update(_ROW)
    .where(_ARE_WANTED, _T.status == Status.STARTING, _T.worker_id.is_(None))
    .values(status=Status.PROCESSING, attempt=_T.attempt + 1, worker_id=bindparam("by_worker"), started_at=clock())
    .returning(_ROW)
)
_RECORD = update(_ROW).where(_IS_RUNNING).returning(_ROW)
_FINISH = update(_ROW).where(_IS_RUNNING).values(completed_at=clock()).returning(_ROW)
_MESSAGE = insert(Table.metadata.tables[WebhookMessage.__tablename__]).values(
    next_attempt_at=clock(), created_at=clock()
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for, already checked."""

    account_id: str
    model: str
    version_id: str
    input: dict[str, Any]
    streams: bool
    webhook: str | None = None
    webhook_events: tuple[str, ...] = tuple(WebhookEvent)
    source: str = "api"


@dataclass(frozen=True, slots=True)
class Progress:
    """What one attempt has brought forth so far; `output` is None until there is some."""

    prediction_id: str
    attempt: int
    output: Any
    logs: str
    metrics: dict[str, Any]

    @property
    def _parameters(self) -> dict[str, Any]:
        written = {"output": self.output, "logs": self.logs, "metrics": self.metrics}
        return {"of_id": self.prediction_id, "of_attempt": self.attempt, **written}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one attempt ended."""

    status: Status
    error: str | None
    progress: Progress
    has_webhook: bool
    """Whether ending it takes more than one statement."""


async def create(transaction: Transaction, request: Request) -> Row[Any]:
    """Store an accepted prediction as `starting` and queue it; one statement."""
    parameters = {
        "id": new_id(),
        "account_id": request.account_id,
        "model": request.model,
        "version_id": request.version_id,
        "status": Status.STARTING,
        "input": request.input,
        "logs": "",
        "metrics": {},
        "source": request.source,
        "webhook": request.webhook,
        "webhook_events": list(request.webhook_events),
        "stream_token": new_id() if request.streams else None,
        "delivery": 1,
        "attempt": 0,
    }
    row = (await transaction.execute(_CREATE, parameters)).one()
    transaction.outbox.append(PredictJob(row.id, row.delivery, row.version_id))
    return row


async def claim(transaction: Transaction, wanted: Sequence[tuple[str, int]], worker_id: str) -> dict[str, Row[Any]]:
    """`starting → processing` for one worker, several (prediction id, delivery) at once; one statement.

    What is missing from the answer went to another delivery, or was canceled first.
    """
    rows = (await transaction.execute(_CLAIM, {"wanted": wanted, "by_worker": worker_id})).all()
    return {row.id: row for row in rows}


async def tell_start(transaction: Transaction, row: Row[Any]) -> None:
    """Owe the `start` message of a claimed prediction to a receiver that asked for it."""
    await _tell(transaction, row, WebhookEvent.START)


async def record(transaction: Transaction, progress: Progress, event: WebhookEvent, sequence: int) -> bool:
    """Save what a running attempt has brought forth; False if it is no longer the one that may write."""
    row = (await transaction.execute(_RECORD, progress._parameters)).one_or_none()
    if row:
        await _tell(transaction, row, event, sequence)
    return row is not None


async def finish(transaction: Transaction, ending: Ending) -> bool:
    """`processing → succeeded · failed · canceled`; False if this attempt may no longer write."""
    parameters = {**ending.progress._parameters, "status": ending.status, "error": ending.error}
    row = (await transaction.execute(_FINISH, parameters)).one_or_none()
    return await _complete(transaction, row) is not None


async def refuse(transaction: Transaction, prediction_id: str, delivery: int, error: str) -> Row[Any] | None:
    """`starting → failed` by whoever was to run this delivery and cannot; None if it has moved on."""
    is_waiting = _is_waiting(prediction_id, delivery)
    row = await _change(transaction, is_waiting, status=Status.FAILED, error=error, completed_at=clock())
    return await _complete(transaction, row)


async def fail(transaction: Transaction, row: Row[Any], error: str) -> Row[Any] | None:
    """`starting · processing → failed` from outside, unless it has moved on: what came so far is kept."""
    failed = await _change(transaction, _is_unchanged(row), status=Status.FAILED, error=error, completed_at=clock())
    return await _complete(transaction, failed)


async def cancel(transaction: Transaction, prediction_id: str) -> None:
    """End it at once if nobody has begun, else ask its worker; a terminal prediction stays as it is."""
    # One statement: between two, a prediction could come back into the queue and be seen by neither.
    is_waiting = _T.status == Status.STARTING
    row = await _change(
        transaction,
        and_(_T.id == prediction_id, _T.status.not_in(TERMINAL)),
        status=case((is_waiting, Status.CANCELED), else_=_T.status),
        completed_at=case((is_waiting, clock()), else_=_T.completed_at),
        cancel_requested_at=clock(),
    )
    if row and row.status == Status.CANCELED:
        await _complete(transaction, row)
    elif row and row.worker_id:
        transaction.outbox.append(CancelRequest(row.worker_id, row.id))


async def cancel_lost(transaction: Transaction, row: Row[Any]) -> Row[Any] | None:
    """`processing → canceled` for a worker that died before it could."""
    changed = await _change(transaction, _is_unchanged(row), status=Status.CANCELED, completed_at=clock())
    return await _complete(transaction, changed)


async def disown(transaction: Transaction, row: Row[Any]) -> bool:
    """Say that nobody runs a claimed prediction; the reconciler decides what becomes of it."""
    return await _change(transaction, _is_unchanged(row), worker_id=None) is not None


async def redeliver(transaction: Transaction, row: Row[Any]) -> Row[Any] | None:
    """Back into the queue under a new delivery; None if the prediction has moved on since `row` was read."""
    return await _queue_again(transaction, _is_unchanged(row))


async def hand_back(transaction: Transaction, prediction_id: str, delivery: int) -> Row[Any] | None:
    """Back into the queue by whoever was to run this delivery and leaves it to others; None if it has moved on."""
    return await _queue_again(transaction, _is_waiting(prediction_id, delivery))


async def _queue_again(transaction: Transaction, condition: ColumnElement[bool]) -> Row[Any] | None:
    again = {"delivery": _T.delivery + 1, "worker_id": None, "started_at": None, "queued_at": clock()}
    fresh = await _change(transaction, condition, status=Status.STARTING, **again)
    if fresh:
        transaction.outbox.append(PredictJob(fresh.id, fresh.delivery, fresh.version_id))
    return fresh


def _is_waiting(prediction_id: str, delivery: int) -> ColumnElement[bool]:
    return and_(_T.id == prediction_id, _T.delivery == delivery, _T.status == Status.STARTING)


def _is_unchanged(row: Row[Any]) -> ColumnElement[bool]:
    is_same = and_(_T.delivery == row.delivery, _T.status == row.status, _T.attempt == row.attempt)
    return and_(_T.id == row.id, is_same, _T.status.not_in(TERMINAL))


async def _change(transaction: Transaction, condition: ColumnElement[bool], **values: Any) -> Row[Any] | None:
    statement = update(_ROW).where(condition).values(**values).returning(_ROW)
    return (await transaction.execute(statement)).one_or_none()


async def _complete(transaction: Transaction, row: Row[Any] | None) -> Row[Any] | None:
    if row is None:
        return None
    items = len(row.output) if row.stream_token and row.output else 0
    transaction.outbox.append(Chunk(row.id, max(row.attempt, 1), items, [], finished=True))
    await _tell(transaction, row, WebhookEvent.COMPLETED)
    return row


def is_wanted(row: Row[Any], event: WebhookEvent) -> bool:
    """Whether a receiver asked for this event of the prediction."""
    return bool(row.webhook) and event in row.webhook_events


async def _tell(transaction: Transaction, row: Row[Any], event: WebhookEvent, sequence: int = 0) -> None:
    if not is_wanted(row, event):
        return
    order = _LAST if event is WebhookEvent.COMPLETED else row.attempt * _PER_ATTEMPT + sequence
    if event is not WebhookEvent.START and _SNAPSHOTS.intersection(row.webhook_events):
        await _drop_superseded(transaction, row.id)
    message = {
        "id": message_id(row.id, event, order),
        "prediction_id": row.id,
        "account_id": row.account_id,
        "event": event,
        "sequence": order,
        "url": row.webhook,
        "body": msgspec.json.encode(rendering.prediction(row, transaction.address)),
        "state": "pending",
        "attempts": 0,
    }
    await transaction.execute(_MESSAGE, message)
    transaction.outbox.append(DeliverJob(row.id, str(order)))


async def _drop_superseded(transaction: Transaction, prediction_id: str) -> None:
    """Snapshots nobody has sent yet give way to a newer one, so a slow receiver never works off a backlog."""
    is_unsent = and_(WebhookMessage.state == "pending", WebhookMessage.event.in_(_SNAPSHOTS))
    await transaction.execute(delete(WebhookMessage).where(WebhookMessage.prediction_id == prediction_id, is_unsent))
