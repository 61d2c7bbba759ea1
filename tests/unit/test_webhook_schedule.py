"""What answers to webhooks mean, and when the next attempt is due."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from shared.errors import AddressBlocked, AnswerTimeout, ConnectFailed
from worker.outbound import Answer
from worker.schedule import SCHEDULES, Outcome, answered, held_back, pause, reason, unanswered


def next_pause(outcome: Outcome, attempts: int = 1, event: str = "completed", profile: str = "pinion") -> float | None:
    message = SimpleNamespace(event=event, attempts=attempts, replayed_after=0)
    return pause(message, outcome, profile)


def answer(status: int, retry_after: str | None = None) -> Outcome:
    return answered(Answer(status, b"", 1, retry_after))


def test_the_long_schedule_has_twelve_attempts_in_about_three_days_and_the_short_one_ends_within_a_minute() -> None:
    assert len(SCHEDULES["pinion"]) == 11
    assert timedelta(hours=68) < timedelta(seconds=sum(SCHEDULES["pinion"])) < timedelta(hours=72)
    assert sum(SCHEDULES["replicate"]) == 60


@pytest.mark.parametrize("profile", SCHEDULES)
def test_the_last_attempt_of_a_schedule_is_the_last(profile: str) -> None:
    attempts = len(SCHEDULES[profile])
    assert next_pause(answer(500), attempts, profile=profile) is not None
    assert next_pause(answer(500), attempts + 1, profile=profile) is None


@pytest.mark.parametrize("event", ["start", "output", "logs", "test"])
def test_what_is_not_the_end_has_one_attempt(event: str) -> None:
    assert next_pause(answer(500), event=event) is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_receiver_may_say_in_seconds_when_to_come_again(status: int) -> None:
    assert next_pause(answer(status, "120")) == 120


def test_a_receiver_may_say_by_a_date_when_to_come_again() -> None:
    pause = next_pause(answer(503, format_datetime(datetime.now(UTC) + timedelta(seconds=200), usegmt=True)))
    assert pause is not None
    assert 190 < pause <= 200


def test_nobody_is_waited_for_longer_than_an_hour_or_less_than_the_schedule_says() -> None:
    assert next_pause(answer(503, "999999")) == 3600
    later = next_pause(answer(503, "1"), attempts=5)
    assert later is not None
    assert later >= 0.8 * SCHEDULES["pinion"][4]


@pytest.mark.parametrize("header", ["", "soon", "-5", "1e3", "٣", "Fri, 99 Nov 2026 12:00:00 GMT"])
def test_what_cannot_be_read_says_nothing(header: str) -> None:
    pause = next_pause(answer(503, header))
    assert pause is not None
    assert pause <= 1.2


def test_a_date_that_has_passed_says_nothing() -> None:
    pause = next_pause(answer(503, "Fri, 01 Nov 2019 12:00:00 GMT"))
    assert pause is not None
    assert pause <= 1.2


def test_a_refusal_says_nothing_about_when_to_come_again() -> None:
    pause = next_pause(answer(404, "120"))
    assert pause is not None
    assert pause < 2


@pytest.mark.parametrize("outcome", [answer(429), unanswered(AnswerTimeout(), 15_000)])
def test_a_receiver_that_is_overwhelmed_gets_a_minute_from_the_third_attempt_on(outcome: Outcome) -> None:
    second, third = next_pause(outcome, 2), next_pause(outcome, 3)
    assert second is not None
    assert third is not None
    assert second <= 6
    assert third == 60


def test_a_blocked_address_is_tried_three_times_in_ten_minutes() -> None:
    blocked = unanswered(AddressBlocked(), 1)
    assert [next_pause(blocked, attempt) for attempt in (1, 2, 3)] == [300, 300, None]


def test_a_turn_that_passes_counts_and_waits_for_the_end_of_the_rest() -> None:
    assert next_pause(held_back(42), 1) == 42
    later = next_pause(held_back(42), 5)
    assert later is not None
    assert later > 400


def test_a_replay_begins_the_schedule_anew() -> None:
    message = SimpleNamespace(event="completed", attempts=13, replayed_after=12)
    pause_then = pause(message, answer(500), "pinion")
    assert pause_then is not None
    assert pause_then <= 1.2


@pytest.mark.parametrize(
    ("outcome", "is_well"),
    [
        (answer(200), True),
        (answer(404), True),
        (answer(410), True),
        (answer(302), True),
        (answer(429), False),
        (answer(500), False),
        (unanswered(ConnectFailed(), 1), False),
        (unanswered(AnswerTimeout(), 1), False),
    ],
)
def test_a_host_that_refuses_is_well_and_one_that_breaks_is_not(outcome: Outcome, is_well: bool) -> None:
    assert outcome.is_about_host
    assert outcome.is_host_well == is_well


def test_what_never_reached_a_host_tells_nothing_about_it() -> None:
    assert not unanswered(AddressBlocked(), 1).is_about_host
    assert not held_back(1).is_about_host


def test_the_reason_names_the_attempts_and_the_last_answer() -> None:
    assert reason(answer(500), 12) == "Given up after 12 attempts: HTTP 500"
    assert reason(answer(500), 1) == "Given up after 1 attempt: HTTP 500"
    assert reason(answer(410), 1) == "The receiver answered 410: it wants no more messages."


def test_a_response_is_kept_as_text_that_every_database_takes() -> None:
    outcome = answered(Answer(500, b"\x00oops \xff", 3, None, "https://elsewhere.example"))
    assert outcome.response == "\ufffdoops \ufffd"
    assert outcome.location == "https://elsewhere.example"
