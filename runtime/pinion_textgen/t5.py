"""Decoding with T5 and its family (T5, FLAN-T5, mT5, UMT5): the encoder is Transformers' own, a decoder's step is ours.

Transformers' step knows one position for the whole batch; this one knows a position for each row. It computes the same
on the model's own weights, some of which are laid side by side so that one product does what three did.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pinion_textgen.cache import Cache
from pinion_textgen.decoder import Decoder, padded
from pinion_textgen.request import Request

FAMILY = frozenset({"t5", "mt5", "umt5"})


class T5Decoder(Decoder):
    def __init__(self, model: Any) -> None:
        config = model.config
        shape = (config.num_decoder_layers, config.num_heads, config.d_kv, model.lm_head.weight)
        self._written, self._read = Cache(*shape), Cache(*shape)
        super().__init__(model, [self._written, self._read])
        self._encoder = model.encoder
        self._start: int = model.generation_config.decoder_start_token_id
        self._blocks = [_Block(block, config) for block in model.decoder.block]
        self._norm = _Norm(model.decoder.final_layer_norm)
        self._embedding, self._head = model.decoder.embed_tokens, model.lm_head
        self._scale = config.d_model**-0.5 if _scales_outputs(config) else 1.0

    def check(self, request: Request) -> None:
        """There is no end to T5's positions; what bounds it is memory."""

    def needs(self, request: Request) -> tuple[int, ...]:
        return request.options.max_new_tokens, len(request.prompt)

    def seen(self, request: Request) -> list[int]:
        return [self._start]

    def join(self, requests: list[Request]) -> None:
        ids, is_real = padded([request.prompt for request in requests], self.device)
        hidden = self._encoder(input_ids=ids, attention_mask=is_real.long()).last_hidden_state
        copies = torch.tensor([len(request.sequences) for request in requests], device=self.device)
        hidden = hidden.repeat_interleave(copies, dim=0)
        lengths = [len(request.prompt) for request in requests for _ in request.sequences]
        rows, longest = self.rows + len(lengths), max(*self.lengths[1], *lengths, 1)
        self._read.reserve(rows, longest)
        self._read.fill(self.rows, (block.read(hidden) for block in self._blocks))
        self.lengths[0] += [0] * len(lengths)
        self.lengths[1] += lengths

    def decode(self, tokens: Tensor) -> Tensor:
        written, read = self.lengths
        at = self.positions(written)
        written[:] = [length + 1 for length in written]
        self._written.reserve(self.rows, max(written))
        own, other = self.read_length(written), self.read_length(read)
        distances = at[:, None] - torch.arange(own, device=self.device)
        mask = self.mask(read, other)
        hidden = self._embedding(tokens)
        bias = None
        for layer, block in enumerate(self._blocks):
            bias = block.bias(distances) if block.has_bias else bias
            query, keys, values = block.own(hidden)
            self._written.write(layer, at, keys, values)
            hidden = hidden + block.own_out(_attend(query, self._written.read(layer, self.rows, own), bias))
            query = block.other(hidden)
            hidden = hidden + block.other_out(_attend(query, self._read.read(layer, self.rows, other), mask))
            hidden = hidden + block.fed(hidden)
        scores: Tensor = self._head(self._norm(hidden) * self._scale)
        return scores


def _attend(query: Tensor, read: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
    """One query a row, (rows, heads, head size), without the scaling that T5 has in its weights; (rows, all heads)."""
    attended = functional.scaled_dot_product_attention(query[:, :, None], *read, attn_mask=mask, scale=1.0)
    return attended.flatten(1)


def _scales_outputs(config: Any) -> bool:
    if config.model_type == "t5":
        return bool(config.scale_decoder_outputs)
    return bool(config.model_type == "umt5" and config.tie_word_embeddings)


class _Norm:
    """T5's norm in one kernel."""

    def __init__(self, norm: Any) -> None:
        self._weight, self._epsilon = norm.weight, norm.variance_epsilon

    def __call__(self, hidden: Tensor) -> Tensor:
        return functional.rms_norm(hidden, self._weight.shape, self._weight, self._epsilon)


class _Block:
    """One layer of the decoder: attention to what was written, to what was read, and the feed-forward part."""

    def __init__(self, block: Any, config: Any) -> None:
        own, other, feed = block.layer
        self._own, other_attention, dense = own.SelfAttention, other.EncDecAttention, feed.DenseReluDense
        self._heads = (config.num_heads, config.d_kv)
        self._norms = [_Norm(layer.layer_norm) for layer in block.layer]
        self._qkv = _side_by_side(self._own.q, self._own.k, self._own.v)
        self._kv = _side_by_side(other_attention.k, other_attention.v)
        self.own_out: Callable[[Tensor], Tensor] = self._own.o
        self.other_out: Callable[[Tensor], Tensor] = other_attention.o
        self._q = other_attention.q
        self._is_gated: bool = config.is_gated_act
        self._wi = _side_by_side(dense.wi_0, dense.wi_1) if self._is_gated else dense.wi.weight
        self._act, self._wo = dense.act, dense.wo
        self.has_bias: bool = self._own.has_relative_attention_bias
        self._bias_by_distance = self._wi.new_empty(config.num_heads, 0)

    def own(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value of the newest position, each (rows, heads, head size)."""
        query, key, value = self._projected(self._norms[0](hidden), self._qkv).unbind(1)
        return query, key, value

    def other(self, hidden: Tensor) -> Tensor:
        """The query for what the encoder read, (rows, heads, head size)."""
        query: Tensor = self._q(self._norms[1](hidden)).unflatten(-1, self._heads)
        return query

    def read(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what the encoder read, each (rows, heads, length, head size)."""
        keys, values = self._projected(encoded, self._kv).transpose(1, 3).unbind(2)
        return keys, values

    def fed(self, hidden: Tensor) -> Tensor:
        inner = functional.linear(self._norms[2](hidden), self._wi)
        if self._is_gated:
            gate, linear = inner.chunk(2, dim=-1)
            inner = self._act(gate) * linear
        else:
            inner = self._act(inner)
        outer: Tensor = self._wo(inner)
        return outer

    def bias(self, distances: Tensor) -> Tensor:
        """By distances of queries to keys, (rows, keys): (rows, heads, 1, keys). What lies ahead is masked."""
        longest = distances.shape[1]
        if self._bias_by_distance.shape[1] <= longest:
            by_key = self._own.compute_bias(1, longest, past_seen_tokens=longest - 1)[0, :, 0].flip(-1)
            self._bias_by_distance = functional.pad(by_key, (0, 1), value=torch.finfo(by_key.dtype).min)
        chosen = self._bias_by_distance[:, distances.where(distances >= 0, self._bias_by_distance.shape[1] - 1)]
        return chosen.transpose(0, 1)[:, :, None].contiguous()

    def _projected(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """(…, several, heads, head size)"""
        projected = functional.linear(hidden, weights)
        return projected.view(*hidden.shape[:-1], -1, *self._heads)


def _side_by_side(*layers: nn.Linear) -> Tensor:
    """Their weights as one matrix, of which they keep views: nothing is in memory twice."""
    weights = torch.cat([layer.weight.detach() for layer in layers])
    parts = torch.split(weights, [layer.out_features for layer in layers])
    for layer, part in zip(layers, parts, strict=True):
        layer.weight = nn.Parameter(part, requires_grad=False)
    return weights
