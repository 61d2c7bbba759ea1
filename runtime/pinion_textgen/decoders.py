"""Which models can be batched, and what they are decoded with.

A family is listed once the tests compare it with generate(), token for token.
"""

from typing import Any

import torch
from torch import nn

from pinion_textgen import t5
from pinion_textgen.decoder import Decoder


class CannotBatch(Exception):
    """The model has to run one request at a time; the message is the reason, for its owner."""


def decoder_of(model: Any) -> Decoder:
    """Raises CannotBatch."""
    family = model.config.model_type
    if family not in t5.FAMILY:
        raise CannotBatch(f"models of type {family} are not batched yet")
    if {parameter.device for parameter in model.parameters()} != {model.device}:
        raise CannotBatch("it is spread over several devices")
    if model.dtype == torch.float16:
        raise CannotBatch("T5 overflows in float16")
    if any(type(layer) is not nn.Linear for layer in _projections(model.decoder)):
        raise CannotBatch("its weights are quantized or adapted")
    return t5.T5Decoder(model)


def _projections(decoder: nn.Module) -> list[nn.Module]:
    """What maps vectors to vectors; with adapters or quantized they are of another class, but still have a size."""
    return [module for module in decoder.modules() if hasattr(module, "in_features")]
