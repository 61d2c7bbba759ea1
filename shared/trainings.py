"""Trainings: how what one has made becomes a version of its destination, and what of both a cancel ends.

A training is a row of predictions, so its status changes in `lifecycle`; how versions are built is not known here.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, literal, select, update

from shared import catalog, files, lifecycle
from shared.contract import Kind, Status
from shared.database import Database, Transaction, clock
from shared.errors import FileUnavailable
from shared.file_names import FILE_KEY
from shared.lifecycle import Progress
from shared.storage import derive_version, derived_id
from shared.tables import Prediction, Version

IS_TRAINING = Prediction.kind == literal(Kind.TRAINING, literal_execute=True)  # a parameter would hide the index
_CANCELED = "The training that made this version was canceled."


@dataclass(frozen=True, slots=True)
class Build:
    """How the version stands that a training waits for."""

    status: str | None
    """None once the version has been deleted."""
    error: str | None
    weights: Any
    is_canceled: bool
    """Whether somebody has asked for the training to be canceled."""
    seen_at: datetime
    """By the database's clock."""


async def accept(database: Database, request: lifecycle.Request) -> Row[Any]:
    """Store one, whose version then stays until it has ended; raises InvalidVersion if that was just deleted."""
    async with database.transaction() as transaction:
        await catalog.hold(transaction, request.version_id)
        return await lifecycle.create(transaction, request)


async def make_version(
    database: Database, home: Path, row: Row[Any], progress: Progress, weights: Any
) -> Row[Any] | None:
    """Register what a training has made, and have it built; the training's row, which names the version.

    `weights` is an address, or a file of ours as it stands in an output. None if the training is to be canceled, or
    belongs to somebody else by now; FileUnavailable if it has no destination, or no file, any more.
    """
    owner, _, name = row.destination.partition("/")
    gone = FileUnavailable(f"The destination {row.destination} is not there any more.")
    model = await catalog.find_model(database, row.account_id, owner, name)
    if model is None or model.account_id != row.account_id:
        raise gone
    version_id = derived_id(row.destination, row.version_id, await _digest(database, weights))
    await asyncio.to_thread(derive_version, home, version_id, row.version_id)

    async def write(transaction: Transaction) -> Row[Any] | None:
        if not await catalog.lock_model(transaction, model.id):
            raise gone
        noted = await _note(transaction, progress, version_id)
        if noted:
            if file_id := _file_id(weights):
                await files.keep(transaction, file_id)
            await catalog.ensure_version(transaction, model.id, version_id, weights)
        return noted

    return await catalog.ensure(database, write)


async def build_of(database: Database, row: Row[Any]) -> Build:
    """The version that a training waits for."""
    told = (Version.status, Version.error, Version.weights, Prediction.cancel_requested_at, clock().label("seen_at"))
    query = select(*told).select_from(Prediction).outerjoin(Version, Version.id == Prediction.trained_version_id)
    async with database.reading() as connection:
        found = (await connection.execute(query.where(Prediction.id == row.id))).one()
    return Build(found.status, found.error, found.weights, found.cancel_requested_at is not None, found.seen_at)


async def cancel(transaction: Transaction, training_id: str) -> None:
    """End it at once if nobody has begun, else ask its worker, and keep its version from being published.

    Whether the version was published before is decided here once and for all: then the training has succeeded.
    """
    await _withdraw_version_of(transaction, await lifecycle.cancel(transaction, training_id))


async def expire(transaction: Transaction, prediction_id: str) -> None:
    """The same for one that is past its deadline, and for a prediction too."""
    await _withdraw_version_of(transaction, await lifecycle.expire(transaction, prediction_id))


async def _withdraw_version_of(transaction: Transaction, row: Row[Any] | None) -> None:
    if row and row.trained_version_id:
        await catalog.withdraw(transaction, row.trained_version_id, _CANCELED)


async def _note(transaction: Transaction, progress: Progress, version_id: str) -> Row[Any] | None:
    """Save what was said, and the version to wait for, unless a cancel was quicker or another worker has it."""
    is_mine = (Prediction.id == progress.prediction_id, Prediction.attempt == progress.attempt)
    goes_on = (Prediction.status == Status.PROCESSING, Prediction.cancel_requested_at.is_(None))
    said = {"logs": progress.logs, "metrics": progress.metrics, "trained_version_id": version_id}
    statement = update(Prediction).where(*is_mine, *goes_on).values(**said).returning(Prediction.__table__)
    return (await transaction.execute(statement)).one_or_none()


async def _digest(database: Database, weights: Any) -> str:
    file_id = _file_id(weights)
    if file_id is None:
        return str(weights)
    file = await files.find(database, file_id)
    if file is None:
        raise FileUnavailable("The file of the trained weights is not there any more.")
    return str(file.sha256)


def _file_id(weights: Any) -> str | None:
    return weights[FILE_KEY].partition("/")[0] if isinstance(weights, dict) else None
