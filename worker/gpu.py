"""The memory of NVIDIA's GPUs, as their driver tells it (NVML).

Without a driver there are no GPUs. Which process uses which GPU is decided by the models themselves.
"""

import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import pynvml
import structlog

from worker.memory import Memory, Reading

_SHARE = 0.9
"""Contexts, fragments and peaks need the rest."""
_log = structlog.get_logger()


def gpus(nvml: Any = pynvml) -> list[Memory]:
    """One memory a GPU of this host."""
    try:
        nvml.nvmlInit()
        return [GpuMemory(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    except nvml.NVMLError as error:
        _log.info("no gpu memory to look at", reason=str(error))
        return []


class GpuMemory:
    """That of one GPU. What processes of others take of it is not there for models."""

    def __init__(self, nvml: Any, index: int) -> None:
        self.name = f"gpu{index}"
        self._nvml = nvml
        self._handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self.device = str(nvml.nvmlDeviceGetName(self._handle))

    def read(self, groups: Collection[int]) -> Reading:
        taken: Counter[int] = Counter()
        try:
            for process in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._handle):
                with suppress(ProcessLookupError):  # it has just ended, or is of another container
                    group = os.getpgid(process.pid)
                    if group in groups:
                        taken[group] += process.usedGpuMemory or 0  # None where the driver does not tell
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
        except self._nvml.NVMLError as error:
            _log.warning("gpu does not answer", gpu=self.name, reason=str(error))
            return Reading(0, {})
        others = memory.used - taken.total()
        return Reading(max(0, int(_SHARE * memory.total) - others), dict(taken))
