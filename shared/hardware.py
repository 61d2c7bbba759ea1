"""What deployments may run on: the devices of the workers that live.

Names are those of the devices' makers; a SKU is made of one.
"""

import re
from typing import NamedTuple

from shared import workers
from shared.database import Database


class Hardware(NamedTuple):
    """A kind of device."""

    sku: str
    name: str


CPU = Hardware("cpu", "CPU")


def sku(device: str) -> str:
    """`CPU` is `cpu`, `NVIDIA H100 80GB HBM3` is `gpu-h100-80gb-hbm3`."""
    if device == CPU.name:
        return CPU.sku
    words = re.findall(r"[a-z0-9]+", device.lower().removeprefix("nvidia"))
    return "-".join(["gpu", *words])


async def available(database: Database, lease_seconds: float) -> list[Hardware]:
    """Of all workers that live, each kind once; every host has a CPU."""
    alive = await workers.alive(database, lease_seconds)
    devices = {device for worker in alive for device in (worker.report or {}).get("devices", [])}
    return [CPU, *sorted(Hardware(sku(device), device) for device in devices - {CPU.name})]
