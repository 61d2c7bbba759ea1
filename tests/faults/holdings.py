"""What the services of a stack hold: model processes, file descriptors and connections to the database.

Kept over all trials of a stack, so that what leaks a little each time is found in the end.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from subprocess import Popen

import psutil
from sqlalchemy import text

from shared.database import Database
from tests.faults.service import Service

_DESCRIPTORS_MORE = 60
"""Than at first: pools fill as they are used, and models are loaded."""
_CONNECTIONS = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'")
_OTHERS = 20
"""Connections to the database of whoever looks at it and is no service."""


@dataclass
class Holdings:
    """Of processes that are still the same: one that was started again begins anew."""

    _models: "dict[Popen[bytes], set[psutil.Process]]" = field(default_factory=dict)
    _descriptors: "dict[Popen[bytes], int]" = field(default_factory=dict)

    def note(self, services: Iterable[Service]) -> None:
        """What they hold now."""
        for service in services:
            with suppress(psutil.NoSuchProcess):
                if service.process and service.is_up:
                    self._descriptors.setdefault(service.process, _descriptors(service))
                    self._models.setdefault(service.process, set()).update(service.models())

    def forget_models(self) -> None:
        """Nobody misses those that are gone: a test has ended them."""
        self._models.clear()

    def lost_models(self, services: Iterable[Service]) -> Iterable[str]:
        """I18: a worker that lives still has each model process it had."""
        for service in services:
            if service.process and (lost := self._models.get(service.process, set()) - set(service.models())):
                yield f"{service.name} has lost its models {sorted(each.pid for each in lost)}"

    def leaked_descriptors(self, services: Iterable[Service]) -> Iterable[str]:
        """I15: none holds many more than at first."""
        for service in services:
            before = self._descriptors.get(service.process, inf) if service.process else inf
            if (now := _descriptors(service)) > before + _DESCRIPTORS_MORE:
                yield f"{service.name} holds {now} descriptors, and held {before} at first"


def _descriptors(service: Service) -> int:
    """Without those of clients, which keep connections for as long as they like."""
    clients = [
        each
        for each in service.handle.net_connections("tcp")
        if each.laddr.port == service.port and each.status == psutil.CONN_ESTABLISHED
    ]
    return service.handle.num_fds() - len(clients)


async def leaked_connections(database: Database, services: int, pool: int) -> Iterable[str]:
    """I15: Postgres has no more connections than the pools of so many services may hold."""
    async with database.reading() as connection:
        held = int((await connection.execute(_CONNECTIONS)).scalar_one())
    allowed = services * pool + _OTHERS
    return [f"the database has {held} connections, where {allowed} may be"] if held > allowed else []
