"""That work goes on: what waits is queued, what runs is run by somebody who lives, and somebody looks after both.

What has ended is not judged here.
"""

from collections.abc import Sequence

from sqlalchemy import and_, or_, select

from shared.contract import TERMINAL, Status
from shared.database import clock
from shared.invariants.look import IDS_MAX, Look
from shared.queue import entries, job_of, missing
from shared.tables import Leadership, Prediction, Worker

_AT_ONCE = 500


async def waiting_predictions_are_queued(look: Look) -> Sequence[str]:
    """Every prediction that waits has an entry in its queue."""
    is_waiting = and_(Prediction.status == Status.STARTING, Prediction.queued_at < look.repaired_until)
    waiting = await look.rows(select(Prediction.__table__).where(is_waiting))
    lost: list[str] = []
    for start in range(0, len(waiting), _AT_ONCE):
        rows = waiting[start : start + _AT_ONCE]
        jobs = [job_of(row) for row in rows]
        gone = await missing(look.database.redis, [(job.queue, job.job_id) for job in jobs])
        lost += [row.id for row, is_gone in zip(rows, gone, strict=True) if is_gone]
    # It may have been taken from the queue between the two looks.
    still = and_(Prediction.id.in_(lost[:IDS_MAX]), is_waiting)
    return await look.ids(select(Prediction.id).where(still)) if lost else []


async def running_predictions_have_a_living_worker(look: Look) -> Sequence[str]:
    """Every prediction that runs is run by a worker that lives."""
    silent = clock(-look.lease_seconds - look.grace_seconds)
    is_nobodys = and_(Worker.id.is_(None), Prediction.started_at < look.repaired_until)
    is_of_a_dead_one = or_(Worker.last_seen < silent, and_(Worker.is_lost, Worker.last_seen < look.repaired_until))
    query = select(Prediction.id).outerjoin(Worker, Worker.id == Prediction.worker_id)
    return await look.ids(query.where(Prediction.status == Status.PROCESSING, or_(is_nobodys, is_of_a_dead_one)))


async def deadlines_are_kept(look: Look) -> Sequence[str]:
    """No prediction outlives its deadline."""
    has_outlived = and_(Prediction.completed_at.is_(None), Prediction.deadline < look.repaired_until)
    return await look.ids(select(Prediction.id).where(has_outlived))


async def cancels_take_effect(look: Look) -> Sequence[str]:
    """No prediction runs on after it was to be canceled."""
    runs_on = and_(Prediction.status.not_in(TERMINAL), Prediction.cancel_requested_at < look.repaired_until)
    return await look.ids(select(Prediction.id).where(runs_on))


async def silent_workers_are_taken_for_dead(look: Look) -> Sequence[str]:
    """Every worker whose lease has run out is taken for dead."""
    has_run_out = Worker.last_seen < clock(-look.lease_seconds - look.grace_seconds)
    return await look.ids(select(Worker.id).where(Worker.is_lost.is_(False), has_run_out))


async def somebody_sweeps(look: Look) -> Sequence[str]:
    """A process of `worker deliver` looks after what gets lost."""
    leads = and_(Leadership.name == "sweep", Leadership.until > look.repaired_until)
    return [] if await look.rows(select(Leadership.name).where(leads)) else ["nobody has for a while"]


async def entries_stand_for_predictions(look: Look) -> Sequence[str]:
    """Every entry of a queue stands for a prediction that was accepted."""
    queued = sorted(await entries(look.database.redis))
    unknown: list[str] = []
    for start in range(0, len(queued), _AT_ONCE):
        wanted = queued[start : start + _AT_ONCE]
        known = await look.rows(select(Prediction.id).where(Prediction.id.in_(wanted)))
        unknown += set(wanted) - {row.id for row in known}
    return unknown[:IDS_MAX]
