"""That rows agree with themselves and with what was noted of them.

Which steps there may be is judged in `history`.
"""

from collections.abc import Sequence

from sqlalchemy import and_, func, or_, select

from shared.contract import TERMINAL
from shared.invariants.look import Look
from shared.tables import Prediction, StatusChange


async def moments_are_in_order(look: Look) -> Sequence[str]:
    """A prediction is created before it is started, and started before it is completed; what has ended says when."""
    is_reversed = or_(
        Prediction.started_at < Prediction.created_at,
        Prediction.completed_at < Prediction.created_at,
        Prediction.completed_at < Prediction.started_at,
    )
    has_ended = Prediction.status.in_(TERMINAL)
    says_otherwise = or_(
        and_(has_ended, Prediction.completed_at.is_(None)), and_(~has_ended, Prediction.completed_at.is_not(None))
    )
    return await look.ids(select(Prediction.id).where(look.is_recent, or_(is_reversed, says_otherwise)))


async def rows_are_what_their_last_step_made_them(look: Look) -> Sequence[str]:
    """A prediction has the status and the attempt of its last step."""
    last = select(func.max(StatusChange.id)).where(look.is_recent_step).group_by(StatusChange.prediction_id)
    query = select(Prediction.id).join(StatusChange, StatusChange.prediction_id == Prediction.id)
    is_other = or_(Prediction.status != StatusChange.status, Prediction.attempt != StatusChange.attempt)
    return await look.ids(query.where(StatusChange.id.in_(last), is_other))
