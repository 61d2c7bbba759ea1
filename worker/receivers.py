"""How the hosts are doing that accounts send to: how many requests are under way, who waits, and which have failed.

One slow or dead receiver must hold up nobody else, and neither must an account that has many of them. Known to this
process alone; nothing is sent or written here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from weakref import WeakValueDictionary

from worker.shares import Pool, Share

PLACES = 100
"""Requests at the same time, of all accounts."""
_HOST_PLACES = 4
"""Of one account to one host."""
_FAILURES_MAX = 10
"""Failures in a row after which a host is left alone for a while."""
_REST_SECONDS = 60.0
_LINE_MAX = 500
"""As many as the sweep rings for at a time."""
_WAITING_MAX = 20_000
_KNOWN_MAX = 10_000


@dataclass(slots=True, weakref_slot=True, eq=False)
class Sharer:
    """An account, beside the others."""

    places: Share
    waiting: Share
    _waited_for: "dict[Receiver, None]" = field(default_factory=dict)
    """Those of its receivers that lanes wait for."""

    def next_receiver(self) -> "Receiver | None":
        """One that has a place for a lane that waits for it, of all such by turns."""
        found = None if self.places.is_full else next((each for each in self._waited_for if not each.is_full), None)
        if found:
            self._waited_for[found] = self._waited_for.pop(found)  # the last one from now on
        return found

    def note_line(self, receiver: "Receiver") -> None:
        """Whether anybody waits for that receiver may have changed."""
        if receiver.is_waited_for:
            self._waited_for.setdefault(receiver)
        else:
            self._waited_for.pop(receiver, None)


@dataclass(slots=True, eq=False)
class Receiver:
    """One host, as one account has met it."""

    account: Sharer
    failures: int = 0
    under_way: int = 0
    _rests_until: float = 0.0
    _lines: tuple[dict[str, None], dict[str, None]] = field(default_factory=lambda: ({}, {}))
    """Lanes with something new, and lanes with what is sent again: a long replay holds up no news."""
    _line: int = 0

    @property
    def rest_seconds(self) -> float:
        """For how long nothing should be sent to it."""
        return max(0.0, self._rests_until - monotonic()) if self._is_failing else 0.0

    @property
    def is_full(self) -> bool:
        """Whether a request has to wait. After a rest one alone finds out how the host is."""
        places = 1 if self._is_failing and not self.rest_seconds else _HOST_PLACES
        return self.under_way >= places or self.account.places.is_full

    @property
    def is_waited_for(self) -> bool:
        return any(self._lines)

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing is lost if it is met anew."""
        return not (self.under_way or self.failures or self.is_waited_for)

    @property
    def _is_failing(self) -> bool:
        return self.failures >= _FAILURES_MAX

    @contextmanager
    def place(self) -> Iterator[None]:
        """Held while a request is under way."""
        self.under_way += 1
        self.account.places.take()
        try:
            yield
        finally:
            self.under_way -= 1
            self.account.places.give_back()

    def note(self, *, is_well: bool) -> None:
        """What a request told of the host."""
        self.failures = 0 if is_well else self.failures + 1
        self._rests_until = monotonic() + _REST_SECONDS

    def has_room_in_line(self, *, is_news: bool) -> bool:
        """Whether one more lane can be remembered; further ones have to come again."""
        return len(self._lines[not is_news]) < _LINE_MAX and not self.account.waiting.is_full

    def line_up(self, lane: str, *, is_news: bool) -> None:
        """Let a lane go on when a place is free."""
        self._lines[not is_news][lane] = None
        self.account.waiting.take()
        self.account.note_line(self)

    def next_lane(self) -> tuple[str, bool]:
        """The one that has waited longest, of both lines by turns, waits no more; and whether it has something new."""
        self._line = not self._line
        news, repeats = self._lines
        line = self._lines[self._line] or news or repeats
        lane = next(iter(line))
        del line[lane]
        self.account.waiting.give_back()
        self.account.note_line(self)
        return lane, line is news


@dataclass(slots=True)
class Receivers:
    """All that were met lately, by account and host."""

    _known: dict[tuple[str, str], Receiver] = field(default_factory=dict)
    _waited_for: dict[str, Receiver] = field(default_factory=dict)
    _sharers: WeakValueDictionary[str, Sharer] = field(default_factory=WeakValueDictionary)
    """Known as long as a receiver of theirs is."""
    _places: Pool = field(default_factory=lambda: Pool(PLACES))
    _waiting: Pool = field(default_factory=lambda: Pool(_WAITING_MAX))

    def of(self, account_id: str, host: str) -> Receiver:
        """The one, met anew if it is not known."""
        if receiver := self._known.get((account_id, host)):
            return receiver
        if len(self._known) >= _KNOWN_MAX:
            self._forget()
        sharer = self._sharers.get(account_id) or Sharer(Share(self._places), Share(self._waiting))
        self._sharers[account_id] = sharer
        self._known[account_id, host] = receiver = Receiver(sharer)
        return receiver

    def waited_for(self, lane: str) -> Receiver | None:
        """The one that the lane waits for."""
        return self._waited_for.get(lane)

    def next_lane(self, account: Sharer) -> tuple[str, bool, Receiver] | None:
        """A lane of the account that may go on now, whether with something new, and the receiver that has a place."""
        receiver = account.next_receiver()
        if receiver is None:
            return None
        lane, is_news = receiver.next_lane()
        del self._waited_for[lane]
        return lane, is_news, receiver

    def wait(self, lane: str, receiver: Receiver, *, is_news: bool) -> None:
        """Remember a lane until its receiver has a place."""
        if lane not in self._waited_for:
            receiver.line_up(lane, is_news=is_news)
            self._waited_for[lane] = receiver

    def _forget(self) -> None:
        """Those that are well; if all fail the ones met first, which costs them a rest at most."""
        idle = [key for key, receiver in self._known.items() if receiver.is_forgettable]
        idle = idle or [key for key, receiver in self._known.items() if not receiver.under_way][: _KNOWN_MAX // 10]
        for key in idle:
            del self._known[key]
