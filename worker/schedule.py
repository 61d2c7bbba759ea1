"""What came of an attempt at a webhook message, and when the next one is due.

Nothing is sent or written here.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from shared.contract import WebhookEvent
from shared.errors import AddressBlocked, AnswerTimeout, OutboundError
from shared.webhook_endpoints import TEST_EVENT
from worker.outbound import Answer

SCHEDULES: dict[str, tuple[int, ...]] = {
    "pinion": (1, 5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400),
    "replicate": (1, 2, 4, 8, 15, 30),
}
"""Seconds before the second and later attempts at a `completed` message: about three days in all, or a minute."""
_BLOCKED_ATTEMPTS = 3
_BLOCKED_SECONDS = 300.0
_REFUSED_ATTEMPTS = 6
_RETRY_AFTER_SECONDS_MAX = 3600.0
_OVERLOADED_SECONDS = 60.0
_OVERLOADED_FROM = 3
"""From this attempt on a receiver that is overwhelmed gets at least as many seconds."""
_GONE = 410
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one turn of a message came to; `answer` says it in words."""

    answer: str
    status: int | None = None
    response: str | None = None
    location: str | None = None
    milliseconds: int = 0
    address: str | None = None
    """Where it was sent, or what could not be connected to."""
    signed_by: tuple[str, ...] = ()
    """The ids of the secrets, the newest first."""
    wait_seconds: float = 0.0
    """The next attempt comes no sooner."""
    attempts_max: int | None = None
    """How many such answers a message gets; None: as many as its schedule has."""
    verdict: str | None = None
    """Why there is no further attempt, where that is not its number."""
    is_overload: bool = False
    is_about_host: bool = True
    """Whether it tells how the receiver's host is."""

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_gone(self) -> bool:
        """The receiver wants to hear nothing more."""
        return self.status == _GONE

    @property
    def is_host_well(self) -> bool:
        """A refusal is an answer too: it is about this message alone."""
        return self.status is not None and self.status < 500 and self.status != _TOO_MANY


def answered(answer: Answer) -> Outcome:
    """2xx is success; 410 says never again; other refusals may be a deploy gone wrong, so a few more tries."""
    status = answer.status
    is_temporary = status in (408, 425, _TOO_MANY) or status >= 500
    is_refusal = 400 <= status < 500 and not is_temporary
    return Outcome(
        f"HTTP {status}",
        status,
        answer.head.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}"),
        answer.location,
        answer.milliseconds,
        wait_seconds=_retry_after(answer.retry_after) if is_temporary else 0.0,
        attempts_max=1 if status == _GONE else _REFUSED_ATTEMPTS if is_refusal else None,
        verdict=f"The receiver answered {_GONE}: it wants no more messages." if status == _GONE else None,
        is_overload=status == _TOO_MANY,
    )


def unanswered(error: Exception, milliseconds: int) -> Outcome:
    """No answer, for a reason of ours or of the network's."""
    words = error.message if isinstance(error, OutboundError) else type(error).__name__
    if isinstance(error, AddressBlocked):
        return Outcome(
            words,
            milliseconds=milliseconds,
            wait_seconds=_BLOCKED_SECONDS,
            attempts_max=_BLOCKED_ATTEMPTS,
            is_about_host=False,
        )
    return Outcome(words, milliseconds=milliseconds, is_overload=isinstance(error, AnswerTimeout))


def held_back(rest_seconds: float) -> Outcome:
    """Its receiver has failed so often that nothing is sent for a while: the turn passes."""
    words = "not sent: the receiver has failed too often in a row, and is left alone for a minute"
    return Outcome(words, wait_seconds=rest_seconds, is_about_host=False)


def paused() -> Outcome:
    """Its receiver wants nothing more, and has said so lately to another message."""
    words = f"not sent: the receiver answered {_GONE} less than an hour ago"
    verdict = f"The receiver answered {_GONE} to another message less than an hour ago: it wants no more."
    return Outcome(words, attempts_max=1, verdict=verdict, is_about_host=False)


def turns(event: str, profile: str) -> int:
    """How many attempts a message of this event has."""
    return len(SCHEDULES[profile]) + 1 if event == WebhookEvent.COMPLETED else 1


def turn(message: Any) -> int:
    """The how-manieth attempt of its round it is: a replay begins a new one."""
    return int(message.attempts) - int(message.replayed_after)


def trigger(message: Any) -> str:
    """What began the round that an attempt belongs to."""
    if message.replayed_after:
        return "replay"
    return "test" if message.event == TEST_EVENT else "scheduled"


def pause(message: Any, outcome: Outcome, profile: str) -> float | None:
    """Seconds until the next attempt; None: there is none."""
    number, most = turn(message), turns(message.event, profile)
    if number >= min(most, outcome.attempts_max or most):
        return None
    floor = _OVERLOADED_SECONDS if outcome.is_overload and number >= _OVERLOADED_FROM else 0.0
    return max(SCHEDULES[profile][number - 1] * random.uniform(0.8, 1.2), outcome.wait_seconds, floor)


def reason(outcome: Outcome, number: int) -> str:
    """Why a message was given up."""
    return outcome.verdict or f"Given up after {number} {'attempt' if number == 1 else 'attempts'}: {outcome.answer}"


def _retry_after(header: str | None) -> float:
    """Seconds, given as such or as a date; 0 if it cannot be read."""
    if header is None:
        return 0.0
    if header.isascii() and header.isdigit():
        return min(float(header), _RETRY_AFTER_SECONDS_MAX)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _RETRY_AFTER_SECONDS_MAX)
