"""Webhook senders in processes of their own. Nothing is asserted here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess

from shared.settings import Settings
from tests.forks import fork


@dataclass
class Senders:
    """Starts them, and ends those that are left."""

    _own: dict[str, str]
    started: list[ForkServerProcess] = field(default_factory=list)

    def start(self) -> ForkServerProcess:
        self.started.append(fork(self._own, "worker", "deliver"))
        return self.started[-1]

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.join()


@contextmanager
def senders(settings: Settings, **more: str) -> Iterator[Senders]:
    """On the servers of the settings; `more` is added to their environment."""
    own = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PINION_HOME": str(settings.home),
        "PINION_WEBHOOK_ALLOW_CIDRS": ",".join(map(str, settings.webhook_allow_cidrs)),
    }
    started = Senders({**own, **more})
    try:
        yield started
    finally:
        started.end()
