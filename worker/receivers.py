"""How the hosts are doing that accounts send to: how many requests are under way, who waits, and which have failed.

One slow or dead receiver must hold up nobody else. Known to this process alone; nothing is sent or written here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

_PLACES = 4
"""Requests of one account to one host at the same time."""
_FAILURES_MAX = 10
"""Failures in a row after which a host is left alone for a while."""
_REST_SECONDS = 60.0
_WAITING_MAX = 100
_KNOWN_MAX = 10_000


@dataclass(slots=True)
class Receiver:
    """One host, as one account has met it."""

    failures: int = 0
    under_way: int = 0
    _rests_until: float = 0.0
    _waiting: dict[str, None] = field(default_factory=dict)

    @property
    def rest_seconds(self) -> float:
        """For how long nothing should be sent to it."""
        return max(0.0, self._rests_until - monotonic()) if self._is_failing else 0.0

    @property
    def is_full(self) -> bool:
        """Whether a request has to wait. After a rest one alone finds out how the host is."""
        places = 1 if self._is_failing and not self.rest_seconds else _PLACES
        return self.under_way >= places

    @property
    def may_be_waited_for(self) -> bool:
        """Whether one more lane can be remembered; further ones have to come again."""
        return len(self._waiting) < _WAITING_MAX

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing is lost if it is met anew."""
        return not (self.under_way or self.failures or self._waiting)

    @property
    def _is_failing(self) -> bool:
        return self.failures >= _FAILURES_MAX

    @contextmanager
    def place(self) -> Iterator[None]:
        """Held while a request is under way."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def note(self, *, is_well: bool) -> None:
        """What a request told of the host."""
        self.failures = 0 if is_well else self.failures + 1
        self._rests_until = monotonic() + _REST_SECONDS

    def await_place(self, lane: str) -> None:
        """Let a lane go on when a place is free."""
        self._waiting[lane] = None

    def release(self, lane: str) -> None:
        """The lane goes on now."""
        self._waiting.pop(lane, None)

    def next_lane(self) -> str | None:
        """The lane that has waited longest and may go on now."""
        return next(iter(self._waiting)) if self._waiting and not self.is_full else None


@dataclass(slots=True)
class Receivers:
    """All that were met lately, by account and host."""

    _known: dict[tuple[str, str], Receiver] = field(default_factory=dict)
    _waited_for: dict[str, Receiver] = field(default_factory=dict)

    def of(self, account_id: str, host: str) -> Receiver:
        """The one, met anew if it is not known."""
        if len(self._known) >= _KNOWN_MAX:
            self._forget()
        return self._known.setdefault((account_id, host), Receiver())

    def must_wait(self, lane: str) -> bool:
        """Whether the lane waits for a receiver that has no place yet; if one is free it waits no more."""
        receiver = self._waited_for.get(lane)
        if receiver is None:
            return False
        if receiver.is_full:
            return True
        self._waited_for.pop(lane)
        receiver.release(lane)
        return False

    def wait(self, lane: str, receiver: Receiver) -> None:
        """Remember a lane until its receiver has a place."""
        receiver.await_place(lane)
        self._waited_for[lane] = receiver

    def _forget(self) -> None:
        """Those that are well; if all fail the ones met first, which costs them a rest at most."""
        idle = [key for key, receiver in self._known.items() if receiver.is_forgettable]
        idle = idle or [key for key, receiver in self._known.items() if not receiver.under_way][: _KNOWN_MAX // 10]
        for key in idle:
            del self._known[key]
