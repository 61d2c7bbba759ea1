"""Decoding with decoder-only models: Transformers' own step, over a cache whose rows are at different places.

Position and mask of each row are given to the model's layers, so their code stays as it is.
"""

import copy
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from pinion_textgen.cache import Cache
from pinion_textgen.decoder import Decoder, masked_beyond, of_sequences, padded
from pinion_textgen.products import Product, is_worth_packing, pack_layers, product
from pinion_textgen.request import Request

FAMILIES = frozenset({"gpt2", "llama", "mistral", "qwen2", "qwen3"})


class CausalDecoder(Decoder):
    def __init__(self, model: Any) -> None:
        config = model.config
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._cache = Cache(config.num_hidden_layers, heads, head_size, model.get_output_embeddings().weight)
        super().__init__(model, [self._cache])
        self._body, self._head = _with_own_products(model)
        self._positions: int = config.max_position_embeddings

    def check(self, request: Request) -> None:
        prompt, new = len(request.prompt), request.options.max_new_tokens
        if prompt + new > self._positions:
            raise ValueError(
                f"The prompt has {prompt} tokens, and {new} more are asked for; "
                f"the model has {self._positions} positions. Shorten one of them."
            )

    def needs(self, request: Request) -> tuple[int, ...]:
        return (len(request.prompt) + request.options.max_new_tokens,)

    def seen(self, request: Request) -> list[int]:
        return request.prompt

    def join(self, requests: list[Request], at_once: int) -> Generator[None]:
        """All of a prompt but its last token, which is the first to decode."""
        ids, _ = padded([request.prompt[:-1] or [0] for request in requests], self.device)
        # What fills up a prompt comes after it, where nothing of the prompt looks.
        read: Any = None
        for part in torch.split(ids, max(1, at_once // len(requests)), dim=1):
            if read is not None:
                yield
            read = self._body(input_ids=part, past_key_values=read, use_cache=True).past_key_values
        lengths = [len(request.prompt) - 1 for request in requests for _ in request.sequences]
        self.make_room(requests, [lengths])
        index = of_sequences(requests, self.device)
        self._cache.fill(
            self.rows,
            ((layer.keys.index_select(0, index), layer.values.index_select(0, index)) for layer in read.layers),
        )
        self.lengths[0] += lengths

    def decode(self, given: Tensor, reach: Sequence[int]) -> Tensor:
        tokens, at = given
        [length] = reach
        step = self._body(
            input_ids=tokens[:, None],
            attention_mask=masked_beyond(at + 1, length, self.dtype),
            position_ids=at[:, None],
            past_key_values=_Step(self._cache, at, length),
            use_cache=True,
        )
        return self._head(step.last_hidden_state[:, -1])


def _with_own_products(model: Any) -> tuple[Any, Product]:
    """Its layers and its head. Where products are done in our way, the model itself keeps computing in its own."""
    head, is_packed = model.get_output_embeddings(), is_worth_packing(model.parameters())
    if not is_packed:
        return model.base_model, head
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    body = copy.deepcopy(model.base_model, shared)
    pack_layers(body)
    return body, product(head.weight, head.bias, is_packed=True)


class _Step:
    """All that a model asks of Transformers' `Cache` where mask and positions are given."""

    def __init__(self, cache: Cache, positions: Tensor, read_length: int) -> None:
        self._cache, self._positions, self._read_length = cache, positions, read_length

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Takes one position of each row, (rows, heads, 1, head size), and returns all there are."""
        self._cache.write(layer, self._positions, keys[:, :, 0], values[:, :, 0])
        return self._cache.read(layer, len(self._positions), self._read_length)
