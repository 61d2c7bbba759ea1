"""Products of what a model computes with its weights, by the quickest kernel there is.

On a CPU the weights are laid out anew for it: a product with few rows mostly waits for weights, and as they lie the
kernel would put them into its order again at every step. They are in memory twice then.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Product = Callable[[Tensor], Tensor]

_OF_HOST = 0.125
"""The most that weights in the kernel's order may take of the machine."""


def is_worth_packing(weights: Iterable[Tensor]) -> bool:
    weights = list(weights)
    is_known = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in weights)
    taken = sum(each.nbytes for each in weights)
    has_room = taken <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _OF_HOST
    has_kernel = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    return is_known and has_room and has_kernel


def product(weight: Tensor, bias: Tensor | None = None, *, is_packed: bool) -> Product:
    """With (outputs, inputs), as a linear layer has it: of (…, inputs) makes (…, outputs)."""
    if not is_packed:
        return lambda given: functional.linear(given, weight, bias)
    # What torch.compile makes of a linear layer whose weights are frozen.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    times: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
    return lambda given: times(given, packed, bias, "none", [], "")


def pack_layers(model: nn.Module) -> None:
    """Its plain linear layers from now on compute in the kernel's order; adapted and dispatched ones stay."""
    for layer in model.modules():
        if type(layer) is nn.Linear and not hasattr(layer, "_hf_hook"):
            quick: Any = product(layer.weight, layer.bias, is_packed=True)
            layer.forward = quick  # type: ignore[method-assign]
