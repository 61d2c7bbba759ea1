"""What must hold of an installation whatever has happened to it, judged from outside: nothing is written.

Each invariant is a sentence and a query for what breaks it. How one is mended is not known: most break by a defect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.invariants import history, messages, moments, work
from shared.invariants.look import Find, Look

__all__ = ["INVARIANTS", "Broken", "Look", "broken"]


@dataclass(frozen=True, slots=True)
class Invariant:
    """Its numbers are those of docs/faults.md; its sentence is the first line of what finds the offenders."""

    numbers: str
    find: Find

    @property
    def sentence(self) -> str:
        return (self.find.__doc__ or "").partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold, and the ids for which it does not."""

    invariant: Invariant
    ids: Sequence[str]

    def __str__(self) -> str:
        return f"{self.invariant.numbers} {self.invariant.sentence} Not so: {', '.join(self.ids)}"


INVARIANTS = (
    Invariant("I1", work.waiting_predictions_are_queued),
    Invariant("I1", work.running_predictions_have_a_living_worker),
    Invariant("I1", work.deadlines_are_kept),
    Invariant("I1 I17", work.silent_workers_are_taken_for_dead),
    Invariant("I1 I17", work.somebody_sweeps),
    Invariant("I10 I11", work.cancels_take_effect),
    Invariant("I5", work.entries_stand_for_predictions),
    Invariant("I1 I2", history.predictions_end_once),
    Invariant("I2", history.what_has_ended_stays),
    Invariant("I3", history.steps_are_allowed),
    Invariant("I3", history.steps_follow_one_another),
    Invariant("I3", moments.moments_are_in_order),
    Invariant("I3", moments.rows_are_what_their_last_step_made_them),
    Invariant("I4", history.attempts_follow_one_another),
    Invariant("I4", history.results_are_of_the_last_claim),
    Invariant("I25", history.nothing_is_lost),
    Invariant("I9", messages.ends_are_owed),
    Invariant("I9", messages.messages_say_how_it_ended),
    Invariant("I9", messages.messages_are_not_overdue),
)


async def broken(look: Look) -> list[Broken]:
    """Those that do not hold; empty if all is well."""
    found = [Broken(invariant, await invariant.find(look)) for invariant in INVARIANTS]
    return [each for each in found if each.ids]
