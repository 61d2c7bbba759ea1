"""I14: that predictions of one account and one version begin to run in the order in which they came.

How accounts take turns is measured by row 55.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from tests.faults.history import Order
from tests.faults.seen import Seen
from tests.faults.stack import LEASE_SECONDS

TOLERANCE_SECONDS = 2 * LEASE_SECONDS
"""So long a worker may hold what it has taken: its model is set up, or nobody knows yet that it is frozen."""


def predictions_start_in_order(seen: Seen) -> Iterable[str]:
    """I14: what was asked for after another one was accepted starts later, unless that had to be queued again."""
    for version in {order.final["version"] for order in seen.orders if order.final}:
        orders = [order for order in seen.orders if order.final and order.final["version"] == version]
        yield from _overtaken(seen, orders)


def _overtaken(seen: Seen, orders: list[Order]) -> Iterable[str]:
    started = [order for order in orders if order.id in seen.starts]
    waited = [order for order in started if seen.starts[order.id or ""].deliveries == 1]
    waited.sort(key=lambda order: order.accepted_at)
    accepted = [order.accepted_at for order in waited]
    latest = list(accumulate((seen.starts[order.id or ""].at for order in waited), max))
    for order in started:
        earlier = bisect_left(accepted, order.asked_at)
        late = latest[earlier - 1] - seen.starts[order.id or ""].at if earlier else 0.0
        if late > TOLERANCE_SECONDS:
            yield f"{order.id} started {late:.1f} s before one that had been accepted when it was asked for"
