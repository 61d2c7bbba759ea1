"""The layers of T5 and its family, on the model's own weights; those that are multiplied together lie side by side.

Where a row is and what it may look at is given from outside, as biases that are added to the scores of attention.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import NewGELUActivation

from pinion_textgen.products import Product, product


class Norm:
    """T5's norm in one kernel."""

    def __init__(self, norm: Any) -> None:
        self._weight, self._epsilon = norm.weight, norm.variance_epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        return functional.rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)


class EncoderBlock:
    """Attention of a prompt to itself, and the feed-forward part."""

    def __init__(self, block: Any, is_packed: bool) -> None:
        own, feed = block.layer
        self._own, self._feed = SelfAttention(own, is_packed), FeedForward(feed, is_packed)
        self.has_bias = self._own.has_bias

    def bias(self, length: int) -> Tensor:
        return self._own.bias_of_all(length)

    def __call__(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """`hidden` is (prompts, length, model), `bias` (prompts, heads, length, length)."""
        query, keys, values = (each.transpose(1, 2) for each in self._own.projected(hidden))
        attended = functional.scaled_dot_product_attention(query, keys, values, attn_mask=bias, scale=1.0)
        hidden = hidden + self._own.out(attended.transpose(1, 2).flatten(2))
        return hidden + self._feed(hidden)


class DecoderBlock:
    """One step of a layer: attention to what was written, to what was read, and the feed-forward part."""

    def __init__(self, block: Any, is_packed: bool) -> None:
        own, other, feed = block.layer
        self.own, self.other = SelfAttention(own, is_packed), CrossAttention(other, is_packed)
        self.fed = FeedForward(feed, is_packed)


class SelfAttention:
    def __init__(self, layer: Any, is_packed: bool) -> None:
        self._attention = attention = layer.SelfAttention
        self._norm = Norm(layer.layer_norm)
        self._heads = (attention.n_heads, attention.key_value_proj_dim)
        self._qkv = _together(attention.q, attention.k, attention.v, is_packed=is_packed)
        self.out = _together(attention.o, is_packed=is_packed)
        self.has_bias: bool = attention.has_relative_attention_bias
        self._looks_back = 0

    def projected(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value, each (…, heads, head size)."""
        return _parted(self._qkv(self._norm(hidden)), 3, *self._heads).unbind(-3)

    def bias_of_all(self, length: int) -> Tensor:
        """For all places of a prompt to all, (1, heads, length, length)."""
        bias: Tensor = self._attention.compute_bias(length, length)
        return bias

    def look_back(self, length: int) -> None:
        """`bias` is asked for so many keys at most."""
        if not self.has_bias:
            return
        by_key: Tensor = self._attention.compute_bias(1, length, past_seen_tokens=length - 1)[0, :, 0]
        self._line = functional.pad(by_key, (0, length - 1), value=torch.finfo(by_key.dtype).min)
        self._looks_back = length

    def bias(self, at: Tensor, length: int) -> Tensor:
        """For queries at these places and so many keys: (rows, heads, 1, keys). What lies ahead is masked."""
        windows = self._line.unfold(-1, length, 1).transpose(0, 1)  # of the query at `_looks_back - 1` comes first
        return windows[self._looks_back - 1 - at][:, :, None]


class CrossAttention:
    def __init__(self, layer: Any, is_packed: bool) -> None:
        attention = layer.EncDecAttention
        self._norm = Norm(layer.layer_norm)
        self._heads = (attention.n_heads, attention.key_value_proj_dim)
        self._q = _together(attention.q, is_packed=is_packed)
        self._kv = _together(attention.k, attention.v, is_packed=is_packed)
        self.out = _together(attention.o, is_packed=is_packed)

    def query(self, hidden: Tensor) -> Tensor:
        """(rows, heads, head size)"""
        return _parted(self._q(self._norm(hidden)), *self._heads)

    def read(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what the encoder read, each (rows, heads, length, head size)."""
        keys, values = _parted(self._kv(encoded), 2, *self._heads).transpose(1, 3).unbind(2)
        return keys, values


class FeedForward:
    def __init__(self, layer: Any, is_packed: bool) -> None:
        dense = layer.DenseReluDense
        self._norm, self._act = Norm(layer.layer_norm), _in_one_kernel(dense.act)
        self._is_gated = hasattr(dense, "wi_0")
        inner = (dense.wi_0, dense.wi_1) if self._is_gated else (dense.wi,)
        self._wi, self._wo = _together(*inner, is_packed=is_packed), _together(dense.wo, is_packed=is_packed)

    def __call__(self, hidden: Tensor) -> Tensor:
        inner = self._wi(self._norm(hidden))
        if not self._is_gated:
            return self._wo(self._act(inner))
        gate, linear = inner.chunk(2, dim=-1)
        return self._wo(self._act(gate) * linear)


def _parted(hidden: Tensor, *shape: int) -> Tensor:
    """The last of its dimensions as several."""
    return hidden.view(*hidden.shape[:-1], *shape)


def _in_one_kernel(activation: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Transformers writes this one out in eight."""
    if isinstance(activation, NewGELUActivation):
        return partial(functional.gelu, approximate="tanh")
    return activation


def _together(*layers: nn.Linear, is_packed: bool) -> Product:
    return product(_side_by_side(*layers), is_packed=is_packed)


def _side_by_side(*layers: nn.Linear) -> Tensor:
    """Their weights as one matrix, of which they keep views: nothing is in memory twice."""
    if len(layers) == 1:
        return layers[0].weight
    weights = torch.cat([layer.weight.detach() for layer in layers])
    parts = torch.split(weights, [layer.out_features for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return weights
