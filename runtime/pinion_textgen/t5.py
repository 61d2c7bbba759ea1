"""Reading and decoding with T5 and its family (T5, FLAN-T5, mT5, UMT5).

Transformers' step knows one position for the whole batch, and its encoder reads without a pause; these know a position
for each row, and read a long prompt a few layers at a time. They compute the same on the model's own weights.
"""

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional

from pinion_textgen.cache import Cache
from pinion_textgen.decoder import Decoder, masked_beyond, of_sequences, padded
from pinion_textgen.products import is_worth_packing, product
from pinion_textgen.request import Request
from pinion_textgen.t5_blocks import DecoderBlock, EncoderBlock, Norm

FAMILY = frozenset({"t5", "mt5", "umt5"})


class T5Decoder(Decoder):
    def __init__(self, model: Any) -> None:
        config = model.config
        shape = (config.num_decoder_layers, config.num_heads, config.d_kv, model.lm_head.weight)
        self._written, self._read = Cache(*shape), Cache(*shape)
        super().__init__(model, [self._written, self._read])
        self._start: int = model.generation_config.decoder_start_token_id
        is_packed = is_worth_packing(model.parameters())
        self._encoder = _Encoder(model.encoder, is_packed)
        self._blocks = [DecoderBlock(block, is_packed) for block in model.decoder.block]
        self._norm = Norm(model.decoder.final_layer_norm)
        self._embedding = model.decoder.embed_tokens
        self._head = product(model.lm_head.weight, is_packed=is_packed)
        self._looks_back = 0
        self._scale = config.d_model**-0.5 if _scales_outputs(config) else 1.0

    def check(self, request: Request) -> None:
        """There is no end to T5's positions; what bounds it is memory."""

    def needs(self, request: Request) -> tuple[int, ...]:
        return request.options.max_new_tokens, len(request.prompt)

    def seen(self, request: Request) -> list[int]:
        return [self._start]

    def join(self, requests: list[Request], at_once: int) -> Generator[None]:
        ids, lengths = padded([request.prompt for request in requests], self.device)
        hidden = yield from self._encoder.read(ids, lengths, at_once)
        hidden = hidden.index_select(0, of_sequences(requests, self.device))
        read = [len(request.prompt) for request in requests for _ in request.sequences]
        joining = [[0] * len(read), read]
        self.make_room(requests, joining)
        self._read.fill(self.rows, (block.other.read(hidden) for block in self._blocks))
        for of_rows, new in zip(self.lengths, joining, strict=True):
            of_rows += new

    def reserve(self, rows: int, lengths: Sequence[int]) -> None:
        super().reserve(rows, lengths)
        if self._written.length > self._looks_back:
            for block in self._blocks:
                block.own.look_back(self._written.length)
            self._looks_back = self._written.length  # now: if memory runs out before, it is done again

    def decode(self, given: Tensor, reach: Sequence[int]) -> Tensor:
        tokens, at, read = given
        own_length, other_length = reach
        rows = len(tokens)
        mask = masked_beyond(read, other_length, self.dtype)
        hidden = self._embedding(tokens)
        bias = None
        for layer, block in enumerate(self._blocks):
            own, other = block.own, block.other
            bias = own.bias(at, own_length) if own.has_bias else bias
            query, keys, values = own.projected(hidden)
            self._written.write(layer, at, keys, values)
            hidden = hidden + own.out(_attend(query, self._written.read(layer, rows, own_length), bias))
            query = other.query(hidden)
            hidden = hidden + other.out(_attend(query, self._read.read(layer, rows, other_length), mask))
            hidden = hidden + block.fed(hidden)
        return self._head(self._norm(hidden) * self._scale)


class _Encoder:
    def __init__(self, encoder: Any, is_packed: bool) -> None:
        self._embedding = encoder.embed_tokens
        self._blocks = [EncoderBlock(block, is_packed) for block in encoder.block]
        self._norm = Norm(encoder.final_layer_norm)

    def read(self, ids: Tensor, lengths: Tensor, at_once: int) -> Generator[None, None, Tensor]:
        """Returns what it makes of prompts, (prompts, longest, model).

        Every place of a prompt looks at all others, so it is read layer by layer: as many of them between two yields
        as cost no more than so many tokens in all layers.
        """
        bias = mask = masked_beyond(lengths, ids.shape[1], self._embedding.weight.dtype)
        layers_at_once = max(1, at_once * len(self._blocks) // ids.numel())
        hidden = self._embedding(ids)
        for layer, block in enumerate(self._blocks):
            if layer and layer % layers_at_once == 0:
                yield
            bias = mask + block.bias(ids.shape[1]) if block.has_bias else bias
            hidden = block(hidden, bias)
        return self._norm(hidden)


def _attend(query: Tensor, read: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
    """One query a row, (rows, heads, head size), without the scaling that T5 has in its weights; (rows, all heads)."""
    attended = functional.scaled_dot_product_attention(query[:, :, None], *read, attn_mask=mask, scale=1.0)
    return attended.flatten(1)


def _scales_outputs(config: Any) -> bool:
    if config.model_type == "t5":
        return bool(config.scale_decoder_outputs)
    return bool(config.model_type == "umt5" and config.tie_word_embeddings)
