"""Each check of the tests of faults finds what it is for, in a history that was made up, and nothing in a good one.

What invariants find in the database is tested in integration.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from shared.webhooks import new_secret
from tests.acceptance.events import Event
from tests.faults.canary import SECRETS, leaks, told_to
from tests.faults.checks import CHECKS, violations
from tests.faults.history import ENDS, Answer, Order
from tests.faults.seen import Seen, Start
from tests.faults.turns import TOLERANCE_SECONDS
from tests.receiver import Delivery

SECRET = new_secret()
_ENDED_AT = "2026-11-28T00:00:01.000000Z"


def delivery(order: Order, number: int, status: str, output: list[str], secret: str = SECRET) -> Delivery:
    """One message of an order, as a sender would send it."""
    body = {"id": order.id, "status": status, "output": output, "error": None, "started_at": "2026-11-28T00:00:00Z"}
    text, now = json.dumps(body), datetime.now(UTC)
    headers = {"webhook-id": f"msg_{order.name}{number}", "webhook-timestamp": str(int(now.timestamp()))}
    headers["webhook-signature"] = Webhook(secret).sign(headers["webhook-id"], now, text)
    return Delivery(f"/hook/{order.name}", headers, text.encode())


def ended(name: str, at: float, events: tuple[str, ...] | None) -> Order:
    """An order of which all went well."""
    order = Order(name, {}, events, [Answer("api-1", 201, 0.01, {})], name.upper(), at, at + 0.1)
    output = [f"{name}:0 ", f"{name}:1 "]
    order.heard = [Event("output", f"1:{place}", text) for place, text in enumerate(output)]
    order.heard.append(Event("done", "1:2", "{}"))
    order.status_at_done = "succeeded"
    order.final = {"id": order.id, "status": "succeeded", "output": output, "error": None, "version": "v"}
    order.final["completed_at"] = _ENDED_AT
    return order


@pytest.fixture
def seen() -> Seen:
    """Of two orders, the first of which wants to hear of everything."""
    first, second = ended("a", 1.0, None), ended("b", 2.0, ENDS)
    told = [delivery(first, number, "processing", ["a:0 "][:number]) for number in (0, 1)]
    told += [delivery(order, 2, "succeeded", order.final["output"]) for order in (first, second) if order.final]
    now = {order.id: order.final for order in (first, second) if order.id and order.final}
    return Seen([first, second], told, SECRET, now, {"A": Start(1.0, 1), "B": Start(2.0, 1)})


def final(seen: Seen) -> dict[str, object]:
    """How the first order has ended."""
    found = seen.orders[0].final
    assert found
    return found


def never_ends(seen: Seen) -> None:
    seen.orders[0].final = seen.now["A"] = {**final(seen), "status": "processing"}
    seen.told["a"][-1] = delivery(seen.orders[0], 2, "processing", ["a:0 ", "a:1 "])


def is_changed(seen: Seen) -> None:
    seen.orders[0].final = {**final(seen), "completed_at": "2026-11-28T00:00:00.000000Z"}


def is_refused_without_a_word(seen: Seen) -> None:
    seen.orders[0].tries.insert(0, Answer("api-1", 503, 0.01, {"detail": "Later."}))


def is_streamed_otherwise(seen: Seen) -> None:
    seen.orders[0].heard[1] = Event("output", "1:1", "a:2 ")


def is_streamed_with_a_gap(seen: Seen) -> None:
    seen.orders[0].heard[1] = Event("output", "1:2", "a:1 ")


def is_done_too_early(seen: Seen) -> None:
    seen.orders[0].status_at_done = "processing"


def is_told_of_no_end(seen: Seen) -> None:
    del seen.told["a"][-1]


def is_told_under_another_signature(seen: Seen) -> None:
    seen.told["a"][0] = delivery(seen.orders[0], 0, "processing", [], new_secret())


def is_told_something_new_after_its_end(seen: Seen) -> None:
    seen.told["a"].append(delivery(seen.orders[0], 3, "processing", ["a:0 ", "a:1 "]))


def is_told_of_less_output_than_before(seen: Seen) -> None:
    seen.told["a"][0] = delivery(seen.orders[0], 0, "processing", ["a:0 ", "a:1 ", "a:2 "])


def is_told_of_more_than_its_end(seen: Seen) -> None:
    seen.told["b"].insert(0, delivery(seen.orders[1], 0, "processing", []))


def is_overtaken(seen: Seen) -> None:
    seen.starts["A"] = Start(seen.starts["B"].at + TOLERANCE_SECONDS + 0.1, 1)


def runs_on_after_its_cancel(seen: Seen) -> None:
    seen.orders[0].canceled_at = seen.orders[0].moment("completed_at") - 5.0


def is_not_known_everywhere(seen: Seen) -> None:
    seen.orders[0].unseen_by.append("api-2")


def has_anothers_output(seen: Seen) -> None:
    seen.orders[1].name = "c"
    seen.told["c"] = seen.told["b"]


BREAKS: dict[str, Callable[[Seen], None]] = {
    "accepted_ones_end": never_ends,
    "what_has_ended_stays": is_changed,
    "refusals_say_when_to_come_again": is_refused_without_a_word,
    "streams_tell_the_output": is_streamed_otherwise,
    "streams_have_no_gap": is_streamed_with_a_gap,
    "done_comes_last": is_done_too_early,
    "receivers_are_told": is_told_under_another_signature,
    "ends_are_told_last": is_told_something_new_after_its_end,
    "messages_tell_the_output": is_told_of_less_output_than_before,
    "receivers_hear_what_they_asked_for": is_told_of_more_than_its_end,
    "predictions_start_in_order": is_overtaken,
    "cancels_take_effect": runs_on_after_its_cancel,
    "creators_can_read": is_not_known_everywhere,
    "nobody_gets_anothers_output": has_anothers_output,
}


def found(seen: Seen) -> set[str]:
    return {each.partition(":")[0] for each in violations(seen)}


def test_a_good_history_breaks_nothing_and_repeats_are_part_of_one(seen: Seen) -> None:
    assert found(seen) == set()
    seen.told["a"] += seen.told["a"][:2]
    assert found(seen) == set()


def test_each_check_is_broken_by_something() -> None:
    assert list(BREAKS) == [check.__name__ for check in CHECKS]


@pytest.mark.parametrize("check", BREAKS)
def test_a_check_finds_what_it_is_for(seen: Seen, check: str) -> None:
    BREAKS[check](seen)
    also = {"accepted_ones_end": {"receivers_are_told"}}
    assert found(seen) == {check} | also.get(check, set())


_AGAIN = [Event("error", "2:-2", '{"detail": "The prediction was started again."}'), Event("done", "2:-1", "{}")]
_FIRST = [Event("output", "1:0", "a:0 "), Event("output", "1:1", "a:x ")]
_SECOND = [Event("output", "2:0", "a:0 "), Event("output", "2:1", "a:1 "), Event("done", "2:2", "{}")]


@pytest.mark.parametrize(
    ("heard", "broken"),
    [
        ([*_FIRST, *_AGAIN], set()),
        ([*_FIRST, _AGAIN[0], *_SECOND], set()),
        ([_FIRST[1], *_AGAIN], {"streams_have_no_gap"}),
        ([_FIRST[0], _SECOND[1], *_AGAIN], {"streams_have_no_gap"}),
        ([*_FIRST, _AGAIN[0], *_SECOND[1:]], {"streams_have_no_gap", "streams_tell_the_output"}),
        ([*_FIRST, _AGAIN[0], _SECOND[0], _SECOND[2]], {"streams_tell_the_output"}),
    ],
)
def test_a_stream_that_was_begun_again_has_no_gap_before_that_and_is_whole_afterwards(
    seen: Seen, heard: list[Event], broken: set[str]
) -> None:
    seen.orders[0].heard = heard
    assert found(seen) == broken


@pytest.mark.parametrize(("told", "broken"), [(1, {"streams_tell_the_output"}), (2, set()), (3, set())])
def test_a_stream_of_what_has_failed_tells_all_that_is_kept_of_it(seen: Seen, told: int, broken: set[str]) -> None:
    order = seen.orders[0]
    seen.now["A"] = order.final = {**final(seen), "status": "failed"}
    order.heard[:2] = [Event("output", f"1:{place}", f"a:{place} ") for place in range(told)]
    seen.told["a"][-1] = delivery(order, 2, "failed", ["a:0 ", "a:1 "])
    assert found(seen) == broken


def test_an_end_that_is_told_to_nobody_is_found(seen: Seen) -> None:
    is_told_of_no_end(seen)
    assert found(seen) == {"receivers_are_told"}


def test_what_was_queued_again_may_be_overtaken(seen: Seen) -> None:
    seen.starts["A"] = Start(seen.starts["B"].at + 2 * TOLERANCE_SECONDS, 2)
    assert found(seen) == set()


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_found_wherever_it_stands_and_not_told_further(secret: str) -> None:
    order = Order("a", {}, None, [Answer("api-1", 503, 0.0, {"detail": f"{secret}4711 is wrong"})], "A")
    told = {"the log of api-1": "all is well", **told_to(order)}
    assert list(leaks(told, SECRETS)) == [f"what was told of A has {secret[:12]}…"]
    assert not list(leaks({"the log of api-1": "all is well"}, SECRETS))
