"""Numbers of the host on the device, without waiting for what the device is doing.

A copy from the host's usual memory begins only when all work before it is done, and the host waits for that; from
memory that stays where it is, the device fetches it in its turn.
"""

from typing import Any

import torch
from torch import Tensor


def sent(numbers: Any, device: torch.device) -> Tensor:
    """A tensor of them, nested lists of one shape, there: whole numbers as int64, others as float32."""
    return staged(numbers, device).to(device, non_blocking=True)


def staged(numbers: Any, device: torch.device) -> Tensor:
    """The same on the host, from where it can be copied to the device without waiting."""
    return torch.tensor(numbers, pin_memory=device.type == "cuda")
