"""That predictions take the steps they may, in order and once: judged from the notes that the database has taken.

Predictions that began before there were notes are judged from the first note on.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, func, or_, select, tuple_

from shared.contract import TERMINAL, Status
from shared.invariants.look import Look
from shared.tables import Prediction, StatusChange

_ALLOWED = (
    *((Status.STARTING, next) for next in (Status.PROCESSING, Status.FAILED, Status.CANCELED, Status.ABORTED)),
    *((Status.PROCESSING, next) for next in (Status.STARTING, Status.SUCCEEDED, Status.FAILED, Status.CANCELED)),
)
"""Back to `starting` goes what a dead worker had, under a new attempt."""
_IS_END = and_(StatusChange.status.in_(TERMINAL), StatusChange.former.not_in(TERMINAL))


async def predictions_end_once(look: Look) -> Sequence[str]:
    """A prediction ends exactly once."""
    ends = select(StatusChange.prediction_id).where(_IS_END, look.is_recent_step)
    return await look.ids(ends.group_by(StatusChange.prediction_id).having(func.count() > 1))


async def what_has_ended_stays(look: Look) -> Sequence[str]:
    """Status, output, error and end of what has ended never change."""
    is_late = and_(StatusChange.former.in_(TERMINAL), look.is_recent_step)
    return await look.ids(select(StatusChange.prediction_id).where(is_late))


async def steps_are_allowed(look: Look) -> Sequence[str]:
    """A prediction goes from `starting` to `processing` to its end, or from `starting` to its end."""
    is_step = tuple_(StatusChange.former, StatusChange.status).in_([(str(a), str(b)) for a, b in _ALLOWED])
    is_beginning = and_(StatusChange.former.is_(None), StatusChange.status == Status.STARTING)
    is_judged_elsewhere = StatusChange.former.in_(TERMINAL)
    is_other = ~or_(is_beginning, and_(StatusChange.former.is_not(None), or_(is_step, is_judged_elsewhere)))
    return await look.ids(select(StatusChange.prediction_id).where(is_other, look.is_recent_step))


async def steps_follow_one_another(look: Look) -> Sequence[str]:
    """Each step of a prediction begins where the one before has ended."""
    step = _steps(look)
    is_apart = and_(step.c.before.is_not(None), step.c.former.is_distinct_from(step.c.before))
    return await look.ids(select(step.c.prediction_id).where(is_apart))


async def attempts_follow_one_another(look: Look) -> Sequence[str]:
    """Each claim is a new attempt, and nothing else is."""
    step = _steps(look)
    is_claim = step.c.status == Status.PROCESSING
    is_wrong = or_(
        and_(is_claim, step.c.attempt != step.c.attempt_before + 1),
        and_(~is_claim, step.c.attempt != step.c.attempt_before),
    )
    return await look.ids(select(step.c.prediction_id).where(step.c.before.is_not(None), is_wrong))


async def results_are_of_the_last_claim(look: Look) -> Sequence[str]:
    """What has succeeded was ended by the worker that had claimed it last."""
    step = _steps(look)
    is_other = and_(step.c.status == Status.SUCCEEDED, step.c.worker_id.is_distinct_from(step.c.worker_before))
    is_end: ColumnElement[bool] = step.c.before == Status.PROCESSING
    return await look.ids(select(step.c.prediction_id).where(is_other, is_end))


async def nothing_is_lost(look: Look) -> Sequence[str]:
    """Every prediction that was accepted is still there: waiting, running or ended."""
    query = select(StatusChange.prediction_id).outerjoin(Prediction, Prediction.id == StatusChange.prediction_id)
    return await look.ids(query.where(Prediction.id.is_(None), look.is_recent_step))


def _steps(look: Look) -> Subquery:
    """Each step beside the one before it."""

    def before(column: Any) -> Any:
        return func.lag(column).over(partition_by=StatusChange.prediction_id, order_by=StatusChange.id)

    return (
        select(
            *(StatusChange.prediction_id, StatusChange.former, StatusChange.status),
            *(StatusChange.attempt, StatusChange.worker_id),
            before(StatusChange.status).label("before"),
            before(StatusChange.attempt).label("attempt_before"),
            before(StatusChange.worker_id).label("worker_before"),
        )
        .where(look.is_recent_step)
        .subquery()
    )
