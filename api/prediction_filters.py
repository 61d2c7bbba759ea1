"""Which predictions a list is to show: what its query parameters say, as conditions on rows.

Whose predictions, and which page of them, is not known here.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, String, and_, literal, select

from shared.contract import Status
from shared.database import clock
from shared.errors import MalformedRequest
from shared.tables import Model, Prediction, Version

_UNFINISHED = (Status.STARTING, Status.PROCESSING)
_STOPPED = (Status.CANCELED, Status.ABORTED)
_WEB_SECONDS = 14 * 86_400.0
"""As on Replicate, what was made in the browser is listed for two weeks."""


def _refuse_number(text: str) -> str:
    """Pydantic takes a number for seconds since 1970, also one that is meant as a date without dashes."""
    try:
        float(text)
    except ValueError:
        return text
    raise PydanticCustomError("moment", "Must be a moment as 2026-11-27T12:00:00Z")


_Moment = Annotated[datetime, BeforeValidator(_refuse_number)]
_Text = Query(pattern=r"^[!-~]+$", max_length=255)


async def prediction_filters(
    created_after: Annotated[_Moment | None, Query(description="Not before this moment.")] = None,
    created_before: Annotated[_Moment | None, Query(description="Before this moment.")] = None,
    source: Annotated[
        Literal["web"] | None, Query(description="Made in the browser, within the last two weeks.")
    ] = None,
    status: Annotated[Status | None, Query(description="As it is shown.")] = None,
    model: Annotated[str | None, _Text] = None,
    version: Annotated[str | None, _Text] = None,
    deployment: Annotated[str | None, _Text] = None,
) -> list[ColumnElement[bool]]:
    """One condition for each parameter that was given."""
    conditions = (
        None if created_after is None else Prediction.created_at >= _in_utc(created_after),
        None if created_before is None else Prediction.created_at < _in_utc(created_before),
        None if source is None else _is_from(source),
        None if status is None else _is_shown_as(status),
        None if model is None else Prediction.model == model,
        None if version is None else _is_of(version),
        None if deployment is None else Prediction.deployment == deployment,
    )
    return [condition for condition in conditions if condition is not None]


Filters = Annotated[list[ColumnElement[bool]], Depends(prediction_filters)]


def _is_from(source: str) -> ColumnElement[bool]:
    since = select(clock(-_WEB_SECONDS)).scalar_subquery()  # asked once; else Postgres would ask for every row
    return and_(Prediction.source == _plainly(source), Prediction.created_at > since)


def _is_of(version_id: str) -> ColumnElement[bool]:
    """With its model, which has an index."""
    named = select(Model.owner + "/" + Model.name).join(Version, Version.model_id == Model.id)
    model = named.where(Version.id == version_id).scalar_subquery()
    return and_(Prediction.model == model, Prediction.version_id == version_id)


def _is_shown_as(status: Status) -> ColumnElement[bool]:
    """See `rendering`: to most accounts an aborted prediction is a canceled one."""
    is_aborted = and_(Prediction.status == Status.ABORTED, Prediction.shows_aborted)
    if status is Status.CANCELED:
        return and_(_is_one_of(_STOPPED), ~is_aborted)
    if status is Status.ABORTED:
        return and_(_is_one_of(_STOPPED), is_aborted)
    is_it = Prediction.status == _plainly(status)
    return and_(is_it, _is_one_of(_UNFINISHED)) if status in _UNFINISHED else is_it


def _is_one_of(statuses: Sequence[Status]) -> ColumnElement[bool]:
    """As an index over some rows only has it: the database takes that if it finds its condition again."""
    return Prediction.status.in_(map(_plainly, statuses))


def _plainly(text: str) -> ColumnElement[str]:
    """Not as a parameter, which would hide the indexes over some rows only."""
    return literal(text, String, literal_execute=True)


def _in_utc(moment: datetime) -> datetime:
    """A moment without a zone is taken for UTC."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError as error:
        raise MalformedRequest("created_after or created_before lies outside of time in UTC.") from error
