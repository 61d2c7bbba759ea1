"""The one door for every change of a prediction's status: create · claim · record · finish · cancel · redeliver.

Each change is one conditional UPDATE that says whether it took place, and writes the webhook messages that follow
from it in the same transaction. Nothing here commits, sends or runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, case, insert, or_, select, tuple_, update

from shared import owed
from shared.contract import TERMINAL, Kind, Status, WebhookEvent
from shared.database import Transaction, clock
from shared.ids import new_id
from shared.kept_secrets import encrypted_input
from shared.live import CancelRequest, Chunk
from shared.queue import DeliverJob, job_of
from shared.tables import Prediction, Table

_PER_ATTEMPT = 1_000_000
"""Places kept for the messages of one attempt."""
_OVERDUE = "The prediction was not started before its deadline."

# The statements every prediction passes are built once: building them costs more than sending them.
_ROW = Table.metadata.tables[Prediction.__tablename__]
_T = _ROW.c
_IS_RUNNING = and_(_T.id == bindparam("of_id"), _T.attempt == bindparam("of_attempt"), _T.status == Status.PROCESSING)
_NOW = {"queued_at": clock(), "created_at": clock(), "deadline": clock(bindparam("lifetime_seconds"))}
_CREATE = insert(_ROW).values({**_NOW, "tells_endpoints": owed.has_endpoints(bindparam("by_account"))}).returning(_ROW)
_ARE_WANTED = tuple_(_T.id, _T.delivery).in_(bindparam("wanted", expanding=True))
_IS_IN_TIME = or_(_T.deadline.is_(None), _T.deadline > clock())
IS_OVERDUE = and_(_T.deadline < clock(), or_(_T.status == Status.STARTING, _T.cancel_requested_at.is_(None)))
"""Past its deadline, and not yet told so to a worker that runs it."""
_CLAIM = (
    update(_ROW)
    .where(_ARE_WANTED, _T.status == Status.STARTING, _T.worker_id.is_(None), _IS_IN_TIME)
    .values(status=Status.PROCESSING, attempt=_T.attempt + 1, worker_id=bindparam("by_worker"), started_at=clock())
    .returning(_ROW)
)
_RECORD = update(_ROW).where(_IS_RUNNING).returning(_ROW)
_ENDED = ("status", "error", "completed_at", "output", "logs", "metrics")
_FINISH = update(_ROW).where(_IS_RUNNING).values({name: bindparam(f"ended_{name}") for name in _ENDED}).returning(_T.id)


def _finish_and_tell() -> Select[Any]:
    """Both in one statement, which Postgres can and SQLite cannot."""
    finished = _FINISH.cte("finished")
    return select(finished.c.id).add_cte(owed.insert_if(finished).cte("message"))


_FINISH_AND_TELL = _finish_and_tell()


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for, already checked; named as the columns are."""

    account_id: str
    model: str
    version_id: str
    input: dict[str, Any]
    streams: bool
    streams_files: bool = False
    secret_inputs: tuple[str, ...] | None = None
    deployment: str | None = None
    webhook: str | None = None
    webhook_events: tuple[str, ...] = tuple(WebhookEvent)
    source: str = "api"
    lifetime_seconds: float | None = None
    shows_aborted: bool = False
    create_key: str | None = None
    fingerprint: str | None = None
    kind: Kind = Kind.PREDICTION
    destination: str | None = None
    """The model that gets what a training makes."""
    id: str = field(default_factory=new_id)


_STORED = tuple(field.name for field in fields(Request) if field.name != "streams")


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
    """How one attempt ended; `row` is what it had claimed."""

    row: Row[Any]
    status: Status
    error: str | None
    progress: Progress
    completed_at: datetime

    @property
    def row_after(self) -> Any:
        """The prediction as it is when this has been written."""
        return SimpleNamespace(**{**self.row._mapping, **self._changes})

    @property
    def _changes(self) -> dict[str, Any]:
        written = {name: getattr(self.progress, name) for name in ("output", "logs", "metrics")}
        return {"status": self.status, "error": self.error, "completed_at": self.completed_at, **written}

    @property
    def _parameters(self) -> dict[str, Any]:
        changes = {f"ended_{name}": value for name, value in self._changes.items()}
        return {"of_id": self.row.id, "of_attempt": self.row.attempt, **changes}


async def create(transaction: Transaction, request: Request) -> Row[Any]:
    """Store an accepted prediction as `starting` and queue it; one statement."""
    parameters = {
        **{name: getattr(request, name) for name in _STORED},
        "input": encrypted_input(transaction.vault, request.id, request.input, request.secret_inputs),
        "by_account": request.account_id,
        "status": Status.STARTING,
        "logs": "",
        "metrics": {},
        "stream_token": new_id() if request.streams else None,
        "delivery": 1,
        "attempt": 0,
    }
    row = (await transaction.execute(_CREATE, parameters)).one()
    transaction.outbox.append(job_of(row))
    return row


async def claim(transaction: Transaction, wanted: Sequence[tuple[str, int]], worker_id: str) -> dict[str, Row[Any]]:
    """`starting → processing` for one worker, several (prediction id, delivery) at once; one statement.

    What is missing from the answer went to another delivery, was canceled first, or is past its deadline.
    """
    rows = (await transaction.execute(_CLAIM, {"wanted": wanted, "by_worker": worker_id})).all()
    return {row.id: row for row in rows}


async def tell_start(transaction: Transaction, row: Row[Any]) -> None:
    """Owe the `start` message of a claimed prediction to a receiver that asked for it."""
    await owed.tell(transaction, row, WebhookEvent.START, _place(row))


async def record(transaction: Transaction, progress: Progress, event: WebhookEvent, sequence: int) -> bool:
    """Save what a running attempt has brought forth; False if it is no longer the one that may write."""
    row = (await transaction.execute(_RECORD, progress._parameters)).one_or_none()
    if row:
        await owed.tell(transaction, row, event, _place(row) + sequence)
    return row is not None


async def finish(transaction: Transaction, ending: Ending) -> bool:
    """`processing → succeeded · failed · canceled`; False if this attempt may no longer write.

    May be repeated after an answer was lost on the way: what has been written then is told again.
    """
    ended = ending.row_after
    message = owed.message(ended, WebhookEvent.COMPLETED, owed.LAST, transaction.address)
    if message and transaction.joins_writes:
        told = {f"told_{name}": value for name, value in message.items()}
        is_mine = (await transaction.execute(_FINISH_AND_TELL, {**ending._parameters, **told})).one_or_none()
        if is_mine:
            _end_stream(transaction, ended)
            await owed.hand_over(transaction, ended, WebhookEvent.COMPLETED, owed.LAST)
            await owed.tell_endpoints(transaction, ended)
    else:
        is_mine = (await transaction.execute(_FINISH, ending._parameters)).one_or_none()
        if is_mine:
            await _complete(transaction, ended)
    return is_mine is not None or await _is_written(transaction, ending)


async def _is_written(transaction: Transaction, ending: Ending) -> bool:
    is_same = and_(_T.attempt == ending.row.attempt, _T.completed_at == ending.completed_at)
    query = select(_T.id).where(_T.id == ending.row.id, _T.status == ending.status, is_same)
    if (await transaction.execute(query)).one_or_none() is None:
        return False
    _end_stream(transaction, ending.row_after)
    if owed.is_wanted(ending.row, WebhookEvent.COMPLETED):
        transaction.outbox.append(DeliverJob(ending.row.id, str(owed.LAST)))
    return True


def takes_one_statement(ending: Ending, joins_writes: bool) -> bool:
    """Whether `finish` needs no transaction around it."""
    if ending.row.tells_endpoints:
        return False
    if not owed.is_wanted(ending.row, WebhookEvent.COMPLETED):
        return True
    return joins_writes and not owed.wants_snapshots(ending.row)


async def refuse(transaction: Transaction, prediction_id: str, delivery: int, error: str, logs: str) -> None:
    """`starting → failed` by whoever was to run this delivery and cannot, unless it has moved on."""
    is_waiting = _is_waiting(prediction_id, delivery)
    row = await _change(transaction, is_waiting, status=Status.FAILED, error=error, logs=logs, completed_at=clock())
    await _complete(transaction, row)


async def fail(transaction: Transaction, row: Row[Any], error: str, output: Any) -> Row[Any] | None:
    """`processing → failed` for a worker that died, unless it has moved on; `output` is what it has told of."""
    changes = {"status": Status.FAILED, "error": error, "output": output, "completed_at": clock()}
    return await _complete(transaction, await _change(transaction, _is_unchanged(row), **changes))


async def cancel(transaction: Transaction, prediction_id: str) -> Row[Any] | None:
    """End it at once if nobody has begun, else ask its worker; None if it was terminal, and stays as it is."""
    return await _stop(transaction, _T.id == prediction_id, status=Status.CANCELED)


async def expire(transaction: Transaction, prediction_id: str) -> Row[Any] | None:
    """Like `cancel`, if it is past its deadline; what nobody has begun was never anything and is `aborted`."""
    return await _stop(transaction, and_(_T.id == prediction_id, IS_OVERDUE), status=Status.ABORTED, error=_OVERDUE)


async def outwait(transaction: Transaction, row: Row[Any], seconds: float) -> Row[Any] | None:
    """`starting → aborted` for what has waited too long; None if it has moved on since `row` was read."""
    waited = f"The prediction was not started within {seconds:g} s, the longest it may wait here."
    gone = await _change(transaction, _is_unchanged(row), status=Status.ABORTED, error=waited, completed_at=clock())
    return await _complete(transaction, gone)


async def _stop(transaction: Transaction, condition: ColumnElement[bool], **if_waiting: Any) -> Row[Any] | None:
    # One statement: between two, a prediction could come back into the queue and be seen by neither.
    is_waiting, ended = _T.status == Status.STARTING, {**if_waiting, "completed_at": clock()}
    row = await _change(
        transaction,
        and_(condition, _T.status.not_in(TERMINAL)),
        **{name: case((is_waiting, value), else_=_T[name]) for name, value in ended.items()},
        cancel_requested_at=clock(),
    )
    if row and row.status in TERMINAL:
        await _complete(transaction, row)
    elif row and row.worker_id:
        transaction.outbox.append(CancelRequest(row.worker_id, row.id))
    return row


async def cancel_lost(transaction: Transaction, row: Row[Any], output: Any) -> Row[Any] | None:
    """`processing → canceled` for a worker that died before it could; `output` is what it has told of."""
    changes = {"status": Status.CANCELED, "output": output, "completed_at": clock()}
    return await _complete(transaction, await _change(transaction, _is_unchanged(row), **changes))


async def disown(transaction: Transaction, row: Row[Any]) -> bool:
    """Say that nobody runs a claimed prediction; the reconciler decides what becomes of it."""
    return await _change(transaction, _is_unchanged(row), worker_id=None) is not None


async def redeliver(transaction: Transaction, row: Row[Any]) -> Row[Any] | None:
    """Back into the queue under a new delivery; None if the prediction has moved on since `row` was read."""
    return await _queue_again(transaction, _is_unchanged(row))


async def begin_again(transaction: Transaction, row: Row[Any]) -> Row[Any] | None:
    """`redeliver`, with nothing left of what its attempts have brought forth."""
    return await _queue_again(transaction, _is_unchanged(row), output=None, logs="", metrics={})


async def hand_back(transaction: Transaction, prediction_id: str, delivery: int) -> Row[Any] | None:
    """Back into the queue by whoever was to run this delivery and leaves it to others; None if it has moved on."""
    return await _queue_again(transaction, _is_waiting(prediction_id, delivery))


async def _queue_again(transaction: Transaction, condition: ColumnElement[bool], **values: Any) -> Row[Any] | None:
    again = {"delivery": _T.delivery + 1, "worker_id": None, "started_at": None, "queued_at": clock()}
    fresh = await _change(transaction, condition, status=Status.STARTING, **again, **values)
    if fresh:
        transaction.outbox.append(job_of(fresh))
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
    _end_stream(transaction, row)
    await owed.tell(transaction, row, WebhookEvent.COMPLETED, owed.LAST)
    await owed.tell_endpoints(transaction, row)
    return row


def _end_stream(transaction: Transaction, ended: Row[Any]) -> None:
    items = len(ended.output) if ended.stream_token and ended.output else 0
    transaction.outbox.append(Chunk(ended.id, max(ended.attempt, 1), items, [], finished=True))


def _place(row: Row[Any]) -> int:
    return int(row.attempt) * _PER_ATTEMPT
