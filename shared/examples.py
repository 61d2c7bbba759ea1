"""Examples: predictions that their model's owner shows to everybody who may see the model.

As long as it is one, nothing of a prediction is removed: neither its data nor its files.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update

from shared import files
from shared.contract import Status
from shared.database import Database, Transaction, clock
from shared.errors import InvalidRequest, Problem
from shared.settings import Settings
from shared.sizes import size_in_words
from shared.tables import File, Prediction

BYTES_MAX = 256 * 1024
"""A model has its first example with it wherever it is shown, and lists show many models."""
_NOT_FIT = "only a prediction that has succeeded, and whose data are still kept, can be an example"
_TOO_LARGE = (
    f"input, output and logs of an example may have {size_in_words(BYTES_MAX)} together; files can be given by address"
)


def of_model(owner: str, name: str) -> Select[Any]:
    """Those of one model, in no order."""
    return select(Prediction.__table__).where(_is_example_of([f"{owner}/{name}"]))


async def first_of(database: Database, models: Sequence[str]) -> dict[str, Row[Any]]:
    """The one that stands for each `owner/name`: its oldest."""
    order = (Prediction.example_since, Prediction.id)
    place = func.row_number().over(partition_by=Prediction.model, order_by=order).label("place")
    ranked = select(Prediction.id, place).where(_is_example_of(models)).subquery()
    query = select(Prediction.__table__).join(ranked, ranked.c.id == Prediction.id).where(ranked.c.place == 1)
    async with database.reading() as connection:
        return {row.model: row for row in (await connection.execute(query)).all()}


async def show(database: Database, model: Row[Any], prediction_id: str) -> Row[Any]:
    """Make an example of a prediction of the model's owner; one already is one. Raises InvalidRequest."""
    is_own = and_(is_of(model.owner, model.name, prediction_id), Prediction.account_id == model.account_id)
    is_fit = and_(is_own, Prediction.status == Status.SUCCEEDED, Prediction.data_removed_at.is_(None))
    since = func.coalesce(Prediction.example_since, clock())
    async with database.transaction() as transaction:
        shown = update(Prediction).where(is_fit).values(example_since=since).returning(Prediction.__table__)
        row = (await transaction.execute(shown)).one_or_none()
        if row is None:
            is_known = (await transaction.execute(select(Prediction.id).where(is_own))).one_or_none()
            sentence = _NOT_FIT if is_known else "you have no such prediction of this model"
            raise InvalidRequest([Problem("invalid_type", "prediction", sentence)])
        if len(msgspec.json.encode((row.input, row.output, row.logs, row.metrics))) > BYTES_MAX:
            raise InvalidRequest([Problem("invalid_type", "prediction", _TOO_LARGE)])
        await _keep_files(transaction, row)
    return row


async def hide(transaction: Transaction, settings: Settings, *conditions: ColumnElement[bool]) -> int:
    """Let those that fulfil all conditions be predictions like others again, and their files expire; how many."""
    are_meant = and_(Prediction.example_since.is_not(None), *conditions)
    hidden = update(Prediction).where(are_meant).values(example_since=None).returning(Prediction.__table__)
    rows = (await transaction.execute(hidden)).all()
    for row in rows:
        await _expire_files(transaction, row, settings)
    return len(rows)


def is_of(owner: str, name: str, prediction_id: str) -> ColumnElement[bool]:
    """Of a prediction: it is the one of this id, and of this model."""
    return and_(Prediction.id == prediction_id, Prediction.model == f"{owner}/{name}")


def _is_example_of(models: Sequence[str]) -> ColumnElement[bool]:
    return and_(Prediction.model.in_(models), Prediction.example_since.is_not(None))


async def _keep_files(transaction: Transaction, row: Row[Any]) -> None:
    """Those it brought forth, and those it was given."""
    are_meant = or_(_are_outputs_of(row), _are_inputs_of(row))
    await transaction.execute(update(File).where(are_meant).values(expires_at=None))


async def _expire_files(transaction: Transaction, row: Row[Any], settings: Settings) -> None:
    """As if they had just been made."""
    outputs, inputs = (_are_outputs_of(row), settings.output_seconds), (_are_inputs_of(row), settings.upload_seconds)
    for are_meant, seconds in (outputs, inputs):
        until = clock(seconds) if seconds else None
        await transaction.execute(update(File).where(are_meant).values(expires_at=until))


def _are_outputs_of(row: Row[Any]) -> ColumnElement[bool]:
    return and_(File.prediction_id == row.id)


def _are_inputs_of(row: Row[Any]) -> ColumnElement[bool]:
    return and_(File.id.in_(files.ids_in(row.input)), File.account_id == row.account_id, File.prediction_id.is_(None))
