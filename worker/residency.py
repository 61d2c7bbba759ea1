"""Which model processes are up on this host: kept while there is room, the least recently used ended when there is not.

What becomes of one version's processes stands in `resident`.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from shared.deployments import Bounds
from shared.hardware import sku
from shared.storage import version_folder
from worker.memory import Memory, Reading
from worker.provisions import Provisions
from worker.resident import Resident

_LOOK_SECONDS = 5.0
"""Between looks at the memory that models take, and between questions how they are."""
_log = structlog.get_logger()


class Residency:
    """All versions on this host.

    Together their processes take of each memory what it has for them. Above that idle ones are ended, the least
    recently used first; what is in use or pinned by a deployment stays, whatever it takes.
    """

    def __init__(self, home: Path, setup_limit: timedelta, provisions: Provisions, memories: Sequence[Memory]) -> None:
        self._home = home
        self._provisions = provisions
        self._setup_limit = setup_limit
        self._memories = memories
        self._readings: dict[str, Reading] = {}
        self._residents: dict[str, Resident] = {}
        self._guests: set[int] = set()

    def resident(self, version_id: str) -> Resident:
        """The one resident of a version."""
        if version_id not in self._residents:
            folder = version_folder(self._home, version_id)
            self._residents[version_id] = Resident(
                version_id, folder, self._setup_limit, self._provisions, self.make_room
            )
        return self._residents[version_id]

    @property
    def skus(self) -> set[str]:
        """The hardware of this host."""
        return {sku(memory.device) for memory in self._memories}

    def honour(self, deployed: Mapping[str, Bounds]) -> None:
        """Of each version keep up what its deployments want, and no more than they allow."""
        for version_id in {*deployed, *self._residents}:
            self.resident(version_id).honour(deployed.get(version_id, Bounds()))

    async def keep_within_budget(self) -> None:
        """For ever: models may grow while they work."""
        while True:
            await self.make_room({})
            await asyncio.sleep(_LOOK_SECONDS)

    async def ask_health(self) -> None:
        """For ever: what models say of themselves is told with all else; nothing is ended for it."""
        while True:
            residents = list(self._residents.values())
            await asyncio.gather(*(each.ask_health() for resident in residents for each in resident.instances))
            await asyncio.sleep(_LOOK_SECONDS)

    async def make_room(self, wanted_bytes: Mapping[str, int]) -> bool:
        """End idle processes until so much of each memory is free, or none that takes of it is idle; whether it is."""
        return all([await self._make_room_in(memory, wanted_bytes.get(memory.name, 0)) for memory in self._memories])

    async def _make_room_in(self, memory: Memory, wanted_bytes: int) -> bool:
        instances = [instance for resident in self._residents.values() for instance in resident.instances]
        up = {group: instance for instance in instances if (group := instance.group)}
        reading = self._readings[memory.name] = await asyncio.to_thread(memory.read, up.keys() | self._guests)
        for group, instance in up.items():
            instance.taken_bytes[memory.name] = reading.taken_bytes.get(group, 0)
        excess = sum(reading.taken_bytes.values()) + wanted_bytes - reading.budget_bytes
        for group, instance in sorted(up.items(), key=lambda each: each[1].last_used):
            freed = reading.taken_bytes.get(group, 0)
            if excess > 0 and freed and instance.is_idle and not instance.is_pinned:
                _log.info("model unloaded", version_id=instance.version_id, memory=memory.name, bytes=freed)
                await instance.unload()
                excess -= freed
        return excess <= 0

    @contextmanager
    def guest(self, group: int) -> Iterator[None]:
        """While inside, idle models give way to a process group that is no model kept here."""
        self._guests.add(group)
        try:
            yield
        finally:
            self._guests.discard(group)

    def report(self) -> dict[str, Any]:
        """What others may know of this host's models; equal as long as nothing changes."""
        residents = self._residents.values()
        return {
            "devices": [memory.device for memory in self._memories],
            "memory": [
                {"name": name, "budget_bytes": reading.budget_bytes, "taken_bytes": sum(reading.taken_bytes.values())}
                for name, reading in self._readings.items()
            ],
            "versions": [told for resident in residents if (told := resident.report())],
            "tallies": {each.version_id: each.tally.report() for each in residents if each.tally.ended},
        }

    def cancel(self, prediction_id: str) -> None:
        """Interrupt a prediction wherever it runs, and keep it from starting."""
        for resident in self._residents.values():
            resident.cancel(prediction_id)

    def interrupt(self, prediction_id: str) -> None:
        """Stop an attempt that no longer counts, wherever it runs."""
        for resident in self._residents.values():
            resident.interrupt(prediction_id)

    async def stop(self) -> None:
        """End every process."""
        await asyncio.gather(*(resident.stop() for resident in self._residents.values()))
