"""What must hold of the webhook messages that receivers got.

That a message is owed is judged by `shared.invariants`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise

from standardwebhooks.webhooks import Webhook

from tests.faults.history import ENDS, Order
from tests.faults.seen import Seen
from tests.receiver import Delivery

_TOLERANCE_SECONDS = 300.0
"""By which a receiver's clock and a signature may differ, as Standard Webhooks has it."""


def receivers_are_told(seen: Seen) -> Iterable[str]:
    """I9: the end is told at least once, under one id and as the API says it; whatever is told is well signed."""
    signature = Webhook(seen.secret)
    for order in seen.orders:
        told = seen.told.get(order.name, [])
        ends = [each for each in told if each.tells_an_end]
        if not ends:
            yield f"{order.id} was not told"
        if len({each.headers["webhook-id"] for each in ends}) > 1:
            yield f"{order.id} was told under several ids"
        for each in told:
            if not _was_trusted(each, signature):
                yield f"{order.id} was told under a signature that is none: {each.headers}"
        now = seen.now[order.id or ""]
        for each in ends:
            if any(each.json.get(key) != now.get(key) for key in ("id", "status", "output", "error")):
                yield f"{order.id} was told as {each.json['status']} {each.json.get('output')!r}, but is {now}"


def _was_trusted(delivery: Delivery, signature: Webhook) -> bool:
    """When it came, that is: the library's verifier takes what is judged a quarter of an hour later for replayed."""
    signed_at = datetime.fromtimestamp(int(delivery.headers["webhook-timestamp"]), UTC)
    signed = signature.sign(delivery.headers["webhook-id"], signed_at, delivery.body.decode())
    is_fresh = abs(delivery.came_at - signed_at.timestamp()) < _TOLERANCE_SECONDS
    return is_fresh and signed in delivery.headers["webhook-signature"].split()


def ends_are_told_last(seen: Seen) -> Iterable[str]:
    """I9: what is told is of a prediction that runs, and then of its end, after which nothing comes that is new."""
    for order in seen.orders:
        *before, _ = statuses = [each.json["status"] for each in _firsts(seen, order)] or [""]
        if set(before) - {"processing"}:
            yield f"{order.id} was told as {statuses}"


def messages_tell_the_output(seen: Seen) -> Iterable[str]:
    """I6: what a message tells of an attempt is the beginning of what the next one tells of it, up to the end."""
    for order in seen.orders:
        said: dict[str | None, list[str]] = {}
        for each in _firsts(seen, order):
            said.setdefault(each.json.get("started_at"), []).append("".join(each.json.get("output") or []))
        for earlier, later in (pair for attempt in said.values() for pair in pairwise(attempt)):
            if not later.startswith(earlier):
                yield f"{order.id} was told to have said {later!r} after {earlier!r}"


def receivers_hear_what_they_asked_for(seen: Seen) -> Iterable[str]:
    """I9: who wants to hear of ends alone is told of nothing else."""
    for order in seen.orders:
        if order.events == ENDS and not all(each.tells_an_end for each in seen.told.get(order.name, [])):
            yield f"{order.id} was told of more than its end"


def _firsts(seen: Seen, order: Order) -> list[Delivery]:
    """Each message once, when it came first: after a fault one may come again, whatever else has come."""
    firsts: dict[str, Delivery] = {}
    for each in seen.told.get(order.name, []):
        firsts.setdefault(each.headers["webhook-id"], each)
    return list(firsts.values())
