"""Random small models that write text, one a family, and what generate() answers alone.

Their weights are enlarged, so that what they write depends on what they read. Nothing is asserted about the product.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MT5Config,
    MT5ForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))

from pinion_textgen.engine import Engine
from pinion_textgen.request import Request

DEVICE = torch.device(os.environ.get("PINION_TEST_DEVICE", "cpu"))
"""`./pinion test --gpu` makes it cuda."""
VOCABULARY, END, POSITIONS = 300, 1, 128
torch.set_num_threads(1)  # for models as small as these, waiting for each other takes most of the time
OUTSIDE = ("shared", "lm_head", "model.embed_tokens", "transformer.w")  # of the layers


def _encoder_decoder(model: Any, config: Any, **changes: Any) -> Any:
    shape = {"d_model": 48, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 3}
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": END}
    return model(config(vocab_size=VOCABULARY, **shape, **special, **changes))


def _decoder_only(model: Any, config: Any, **changes: Any) -> Any:
    shape = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": POSITIONS}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": END}
    return model(config(vocab_size=VOCABULARY, **shape, **special, **changes))


def _with_own_head(model: Any) -> Any:
    """Else it would write its last token again and again."""
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return model


FAMILIES: dict[str, Callable[[], Any]] = {
    "t5-plain": lambda: _with_own_head(
        _encoder_decoder(T5ForConditionalGeneration, T5Config, feed_forward_proj="relu")
    ),
    "t5-gated": lambda: _encoder_decoder(
        T5ForConditionalGeneration, T5Config, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    ),
    "mt5": lambda: _encoder_decoder(MT5ForConditionalGeneration, MT5Config, feed_forward_proj="gated-gelu"),
    "umt5": lambda: _encoder_decoder(UMT5ForConditionalGeneration, UMT5Config),
    "llama": lambda: _decoder_only(LlamaForCausalLM, LlamaConfig, intermediate_size=64, num_key_value_heads=2),
    "mistral": lambda: _decoder_only(
        MistralForCausalLM, MistralConfig, intermediate_size=64, num_key_value_heads=1, sliding_window=None
    ),
    "qwen2": lambda: _decoder_only(Qwen2ForCausalLM, Qwen2Config, intermediate_size=64, num_key_value_heads=2),
    "qwen3": lambda: _decoder_only(
        Qwen3ForCausalLM, Qwen3Config, intermediate_size=64, num_key_value_heads=2, head_dim=16
    ),
    "gpt2": lambda: _decoder_only(GPT2LMHeadModel, GPT2Config),
}


def made(family: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(3)
    model = FAMILIES[family]().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and not name.startswith(OUTSIDE):
                parameter.mul_(4 if model.config.is_encoder_decoder else 12)
    return model.to(DEVICE, dtype)


def prompts(random: Random, count: int, longest: int = 40) -> list[list[int]]:
    return [[random.randrange(2, VOCABULARY) for _ in range(random.randint(1, longest))] for _ in range(count)]


def generated(model: Any, prompt: list[int], **options: Any) -> list[int]:
    """What generate() writes for this prompt alone, greedily."""
    ids = torch.tensor([prompt], device=model.device)
    written = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **options)[0].tolist()
    return written[1 if model.config.is_encoder_decoder else len(prompt) :]


def run(engine: Engine, *requests: Request) -> None:
    """All of them to their end."""
    for request in requests:
        engine.submit(request)
    while engine.is_busy:
        engine.step()
    errors = [request.error for request in requests if request.error]
    if errors:
        raise errors[0]
