"""What a client has asked for and what came of it, word for word, to be judged afterwards.

Nothing is judged here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any

from tests.acceptance.events import Event

ENDS = ("completed",)
"""The events of which a receiver hears that wants to know of ends alone."""
OUT_OF_SPACE = 507
REFUSALS = (429, 503, OUT_OF_SPACE)
"""Of what cannot be had for now."""


@dataclass(frozen=True)
class Answer:
    """One try at one request: its status, or None if there was no answer."""

    api: str
    status: int | None
    seconds: float
    body: Any = None
    retry_after: str | None = None


@dataclass
class Order:
    """A prediction that a client wants, under a name that is in its input and in each of its tokens."""

    name: str
    input: dict[str, Any]
    events: Sequence[str] | None = None
    """Of which its receiver wants to hear; None: of all."""
    tries: list[Answer] = field(default_factory=list)
    id: str | None = None
    asked_at: float = field(default_factory=monotonic)
    accepted_at: float = 0.0
    unseen_by: list[str] = field(default_factory=list)
    """APIs that did not know it after it was accepted."""
    heard: list[Event] = field(default_factory=list)
    """All events of its stream, over however many connections."""
    connections: int = 0
    heard_after_done: list[Event] = field(default_factory=list)
    status_at_done: str | None = None
    final: dict[str, Any] | None = None
    """The prediction when it was first seen ended."""
    canceled_at: float = 0.0
    """By the clock on the wall, when it was first acknowledged."""
    cancels: list[Answer] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "".join(event.data for event in self.heard if event.name == "output")

    @property
    def is_done(self) -> bool:
        """Whether its stream has said so."""
        return any(event.name == "done" for event in self.heard)

    @property
    def takes(self) -> list[list[Event]]:
        """The items of its stream, anew after each word that another attempt has begun."""
        takes: list[list[Event]] = [[]]
        for event in self.heard:
            if event.name == "output":
                takes[-1].append(event)
            elif event.name == "error" and "started again" in event.data:
                takes.append([])
        return takes

    @property
    def was_begun_again(self) -> bool:
        """Whether the stream said that another attempt has begun."""
        return len(self.takes) > 1

    def moment(self, name: str) -> float:
        """When it was created, started or completed, by the clock of the database."""
        assert self.final
        return datetime.fromisoformat(self.final[name]).timestamp()
