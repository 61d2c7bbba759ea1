"""One prediction that was sent to a model process: who hears of it, what it has printed, how its cancel stands.

Speaking to the process is the business of `process`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.events import Done, Take
from worker.excerpt import Excerpt


@dataclass(slots=True, eq=False)
class Run:
    id: str
    take: Take
    done: asyncio.Future[Done]
    logs: Excerpt = field(default_factory=Excerpt)
    is_canceling: bool = False
    is_heard: bool = False
    """The model has heard of the cancel, so at least its event loop is alive."""
    impatience: asyncio.TimerHandle | None = None

    def settle(self, done: Done) -> None:
        """Tell the one who waits; harmless when that has been done."""
        if not self.done.done():
            self.done.set_result(done)

    def ignore(self) -> None:
        """Nobody wants its events any more."""
        self.take = lambda event: None


def when_taken(run: Run, taking: "asyncio.Future[None] | None", go_on: Callable[[], object]) -> None:
    """Calls it once an output is taken, which may be at once, and not when the prediction has ended before."""
    if taking is None:
        go_on()
    else:
        taking.add_done_callback(lambda taken: run.done.done() or go_on())
