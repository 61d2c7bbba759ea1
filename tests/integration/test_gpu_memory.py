"""GPUs as a second memory that models share; the driver is played, the model processes are real."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest_asyncio

from shared.contract import Status
from shared.database import Database
from shared.live import Feed
from shared.settings import Settings
from tests.database_fixtures import Rows
from tests.host import Host, hosting, installed
from worker.gpu import gpus

GIB = 2**30


class Refused(Exception):
    """What the driver's library raises."""


@dataclass
class Driver:
    """The few functions of NVML that are used, over GPUs of 10 GiB each."""

    NVMLError = Refused
    count: int = 1
    is_there: bool = True
    taken: dict[int, dict[int, int | None]] = field(default_factory=dict)
    """Bytes by GPU and process."""

    def nvmlInit(self) -> None:
        if not self.is_there:
            raise Refused("Driver/library version mismatch")

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[Any]:
        self.nvmlInit()
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.taken.get(handle, {}).items()]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        used = sum(used or 0 for used in self.taken.get(handle, {}).values())
        return SimpleNamespace(total=10 * GIB, used=used)


@pytest_asyncio.fixture
async def driver() -> Driver:
    return Driver(count=2)


@pytest_asyncio.fixture
async def host(settings: Settings, database: Database, feed: Feed, driver: Driver) -> AsyncIterator[Host]:
    """With two GPUs."""
    async with hosting(settings, database, feed, *gpus(driver)) as host:
        yield host


async def up_on(driver: Driver, gpu: int, gib: int, host: Host, rows: Rows, version_id: str) -> None:
    """The model runs once, and its process then takes so much of a GPU."""
    row = await host.run(rows, version_id, input={"text": "hello"})
    assert row.status == Status.SUCCEEDED, row.error
    driver.taken.setdefault(gpu, {})[host.residency.resident(version_id).group or 0] = gib * GIB


async def test_the_model_used_least_recently_gives_way_on_the_gpu_that_is_full_and_on_no_other(
    settings: Settings, rows: Rows, host: Host, driver: Driver
) -> None:
    elsewhere, first, second = [await installed(settings, rows, "echo") for _ in range(3)]
    await up_on(driver, 1, 8, host, rows, elsewhere)
    await up_on(driver, 0, 5, host, rows, first)
    await host.residency.make_room({})
    assert [host.residency.resident(each).is_up for each in (elsewhere, first)] == [True, True]
    await up_on(driver, 0, 5, host, rows, second)
    await host.residency.make_room({})
    assert [host.residency.resident(each).is_up for each in (elsewhere, first, second)] == [True, False, True]
    told = host.residency.resident(second).report() or {}
    assert told["memory"] == {"gpu0": 5 * GIB, "gpu1": 0}


async def test_what_a_model_took_is_made_room_for_before_it_starts_again(
    settings: Settings, rows: Rows, host: Host, driver: Driver
) -> None:
    first, second = [await installed(settings, rows, "echo") for _ in range(2)]
    await up_on(driver, 0, 6, host, rows, first)
    await host.residency.make_room({})
    driver.taken[0].clear()
    await host.residency.resident(first).unload()
    await up_on(driver, 0, 6, host, rows, second)
    await host.run(rows, first, input={"text": "again"})
    assert [host.residency.resident(each).is_up for each in (first, second)] == [True, False]


def test_what_others_take_of_a_gpu_is_not_there_for_models() -> None:
    driver = Driver(taken={0: {os.getpid(): GIB, os.getppid(): 4 * GIB}})
    [gpu] = gpus(driver)
    others = 4 * GIB if os.getpgid(os.getppid()) != os.getpgrp() else 0
    reading = gpu.read([os.getpgrp()])
    assert sum(reading.taken_bytes.values()) + others == 5 * GIB
    assert reading.budget_bytes == 9 * GIB - others


def test_a_driver_that_keeps_a_process_to_itself_or_stops_answering_does_no_harm() -> None:
    driver = Driver(taken={0: {os.getpid(): None, 2**22 + 1: GIB}})
    [gpu] = gpus(driver)
    assert sum(gpu.read([os.getpgrp()]).taken_bytes.values()) == 0
    driver.is_there = False
    assert gpu.read([os.getpgrp()]).taken_bytes == {}


def test_without_a_driver_there_are_no_gpus() -> None:
    assert gpus(Driver(is_there=False)) == []
