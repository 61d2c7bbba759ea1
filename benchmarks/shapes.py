"""The models that benchmarks of the engine have write, with random weights, and what a step of one has to read.

Weights do not change how fast a step is, as long as they are not zero.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration


def _t5(layers: int, **shape: int) -> Any:
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "tie_word_embeddings": False}
    config = T5Config(
        vocab_size=32_128,
        feed_forward_proj="gated-gelu",
        num_layers=layers,
        num_decoder_layers=layers,
        **shape,
        **special,
    )
    return T5ForConditionalGeneration(config)


def _llama(vocabulary: int, **shape: int) -> Any:
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, pad_token_id=0, tie_word_embeddings=False, **shape))


MODELS: dict[str, Callable[[], Any]] = {
    "t5": lambda: _t5(8, d_model=512, d_kv=64, d_ff=1024, num_heads=6),  # FLAN-T5-small
    "t5-xl": lambda: _t5(24, d_model=2048, d_kv=64, d_ff=5120, num_heads=32),  # FLAN-T5-XL
    "llama": lambda: _llama(
        32_000,
        hidden_size=512,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=8,
        num_key_value_heads=4,
    ),
    "llama-8b": lambda: _llama(
        128_256,
        hidden_size=4096,
        intermediate_size=14_336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    ),
}


def made(name: str, device: str, dtype: torch.dtype) -> Any:
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = MODELS[name]().eval()
    finally:
        torch.set_default_dtype(usual)
    model.generation_config.eos_token_id = None
    return model


def step_bytes(model: Any, rows: int, read: float, written: float) -> float:
    """What one step must read at least: weights, and what each row has read and written on average."""
    config, head = model.config, model.get_output_embeddings().weight
    is_t5 = config.is_encoder_decoder
    layers = model.decoder.block if is_t5 else model.base_model.layers
    left_out = {
        id(projection.weight)  # what they make of a prompt was made when it was read
        for layer in (layers if is_t5 else ())
        for projection in (layer.layer[1].EncDecAttention.k, layer.layer[1].EncDecAttention.v)
    }
    weights = sum(each.nbytes for each in layers.parameters() if id(each) not in left_out) + head.nbytes
    heads = config.num_heads if is_t5 else config.num_key_value_heads
    size = config.d_kv if is_t5 else config.hidden_size // config.num_attention_heads
    position = 2 * len(layers) * heads * size * head.element_size()
    return weights + rows * position * (read + written)


def copied_bytes_a_second(device: str) -> float:
    """What the memory gives, read and written."""
    source = torch.ones(1 << 28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    times = []
    for _ in range(9):
        _wait(device)
        began = time.perf_counter()
        target.copy_(source)
        _wait(device)
        times.append(time.perf_counter() - began)
    return 2 * source.nbytes / sorted(times)[len(times) // 2]


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()
