"""What must hold of all that clients and receivers have seen; the rows are judged by `shared.invariants`.

Each check names what it has found, or nothing.
"""

from collections.abc import Callable, Iterable

from tests.faults import messages, turns
from tests.faults.history import OUT_OF_SPACE, REFUSALS
from tests.faults.seen import Seen
from tests.receiver import TERMINAL

CANCELED_SECONDS = 1.0
"""After a cancel was acknowledged the code of a prediction may still run for so long."""


def accepted_ones_end(seen: Seen) -> Iterable[str]:
    """I1: whatever was accepted has ended."""
    for order in seen.orders:
        if order.final is None or order.final["status"] not in TERMINAL:
            yield f"{order.id} has not ended: {order.final}"


def what_has_ended_stays(seen: Seen) -> Iterable[str]:
    """I2: what was once seen ended looks the same in the end."""
    for order in seen.orders:
        for key in ("status", "output", "error", "completed_at"):
            if order.final and order.final.get(key) != seen.now[order.id or ""].get(key):
                yield f"{order.id} was changed: {key} {order.final.get(key)!r} {seen.now[order.id or ''].get(key)!r}"


def refusals_say_when_to_come_again(seen: Seen) -> Iterable[str]:
    """I15 I21: a refusal is for now, says why, and says when to come again if that can be known."""
    for order in seen.orders:
        for each in (*order.tries, *order.cancels):
            is_refusal = each.status is not None and each.status >= 400
            says_when = each.retry_after or each.status == OUT_OF_SPACE
            if is_refusal and not (each.status in REFUSALS and says_when and each.body.get("detail")):
                yield f"{order.id} was refused badly: {each}"


def streams_tell_the_output(seen: Seen) -> Iterable[str]:
    """I6: what a stream has told is the output of what has succeeded; of anything else it is that, or more.

    Of one that was begun again that is what was told since; nothing, if nobody asked for it again.
    """
    for order in seen.orders:
        *before, last = order.takes
        if not order.final or (before and not last):
            continue
        said, output = "".join(event.data for event in last), "".join(order.final.get("output") or [])
        is_more = said.startswith(output) and order.final["status"] != "succeeded"
        if said != output and not is_more:
            yield f"{order.id} ({order.final['status']}) streamed {said!r} but said {output!r}"


def streams_have_no_gap(seen: Seen) -> Iterable[str]:
    """I7: over all connections each item is told once, in order, and of one attempt until another one is announced."""
    for order in seen.orders:
        for take in order.takes:
            places = [event.id.split(":") for event in take]
            attempts = {attempt for attempt, _ in places}
            if [int(index) for _, index in places] != list(range(len(places))) or len(attempts) > 1:
                yield f"{order.id} was streamed as {places}"


def done_comes_last(seen: Seen) -> Iterable[str]:
    """I8: `done` is the last event, and the prediction has ended by then."""
    for order in seen.orders:
        if order.heard_after_done:
            yield f"{order.id} went on after done: {order.heard_after_done}"
        if order.heard and not order.was_begun_again and order.status_at_done not in TERMINAL:
            yield f"{order.id} was {order.status_at_done} when its stream was done"


def cancels_take_effect(seen: Seen) -> Iterable[str]:
    """I10 I11: every cancel is acknowledged, and what was canceled has ended a second later."""
    for order in seen.orders:
        late = order.moment("completed_at") - order.canceled_at if order.canceled_at and order.final else 0.0
        if late > CANCELED_SECONDS:
            yield f"{order.id} ended {late:.1f} s after its cancel was acknowledged"


def creators_can_read(seen: Seen) -> Iterable[str]:
    """I12: what an API has accepted every API knows."""
    return (f"{order.id} was not known to {order.unseen_by}" for order in seen.orders if order.unseen_by)


def nobody_gets_anothers_output(seen: Seen) -> Iterable[str]:
    """I13: everything a prediction says has its own name in it."""
    for order in seen.orders:
        words = "".join((order.final or {}).get("output") or []).split()
        if any(word.partition(":")[0] != order.name for word in words):
            yield f"{order.id} named {order.name} said {words}"


CHECKS: tuple[Callable[[Seen], Iterable[str]], ...] = (
    accepted_ones_end,
    what_has_ended_stays,
    refusals_say_when_to_come_again,
    streams_tell_the_output,
    streams_have_no_gap,
    done_comes_last,
    messages.receivers_are_told,
    messages.ends_are_told_last,
    messages.messages_tell_the_output,
    messages.receivers_hear_what_they_asked_for,
    turns.predictions_start_in_order,
    cancels_take_effect,
    creators_can_read,
    nobody_gets_anothers_output,
)


def violations(seen: Seen) -> list[str]:
    """Of all checks."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(seen)]
