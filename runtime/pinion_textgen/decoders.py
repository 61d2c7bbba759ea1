"""Which models can be batched, and what they are decoded with.

A family is listed once the tests compare it with generate(), token for token.
"""

from typing import Any

import torch
from torch import nn

from pinion_textgen import causal, t5
from pinion_textgen.decoder import Decoder


class CannotBatch(Exception):
    """The model has to run one request at a time; the message is the reason, for its owner."""


# What a model's generation_config may say without changing an answer: each request says it itself, or it is no matter
# of tokens. Beams are never searched.
_COVERED = frozenset(
    {
        *("_from_model_config", "transformers_version", "use_cache", "cache_implementation", "return_dict_in_generate"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits", "trust_remote_code"),
        *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
        *("max_length", "max_new_tokens", "do_sample", "temperature", "top_k", "top_p", "repetition_penalty"),
        *("num_beams", "early_stopping", "length_penalty", "num_return_sequences"),
    }
)
_NEUTRAL_AT_ONE = frozenset({"typical_p", "encoder_repetition_penalty", "guidance_scale", "num_beam_groups"})


def decoder_of(model: Any) -> Decoder:
    """Raises CannotBatch."""
    if asked := not_covered(model.generation_config.to_diff_dict()):
        raise CannotBatch(f"its generation_config asks for {', '.join(asked)}")
    if {parameter.device for parameter in model.parameters()} != {model.device}:
        raise CannotBatch("it is spread over several devices")
    family = model.config.model_type
    if family in t5.FAMILY and model.config.is_encoder_decoder:
        return _of_t5(model)
    if family in causal.FAMILIES and type(model).__name__.endswith(("ForCausalLM", "LMHeadModel")):
        return _of_causal(model)
    raise CannotBatch(f"models of type {family} are not batched yet")


def not_covered(said: dict[str, Any]) -> list[str]:
    """Which of the values of a generation_config would change an answer in a way that a batch does not."""
    return [name for name, value in said.items() if name not in _COVERED and _changes_something(name, value)]


def _changes_something(name: str, value: Any) -> bool:
    return bool(value) and not (value == 1 and name in _NEUTRAL_AT_ONE)


def _of_t5(model: Any) -> Decoder:
    if model.dtype == torch.float16:
        raise CannotBatch("T5 overflows in float16")
    if model.generation_config.decoder_start_token_id is None:
        raise CannotBatch("it does not say which token its answers start with")
    if any(type(layer) is not nn.Linear for layer in _projections(model.decoder)):
        raise CannotBatch("its weights are quantized or adapted")
    return t5.T5Decoder(model)


def _of_causal(model: Any) -> Decoder:
    config = model.config
    if "sliding_attention" in (getattr(config, "layer_types", None) or ()):
        raise CannotBatch("some of its layers look at a sliding window")
    if config.model_type == "mistral" and config.sliding_window is not None:
        raise CannotBatch("its layers look at a sliding window")
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        raise CannotBatch(f"its positions ({rope}) depend on the longest of a batch")
    if config._attn_implementation not in ("sdpa", "eager"):
        raise CannotBatch(f"its attention ({config._attn_implementation}) takes no mask of ours")
    return causal.CausalDecoder(model)


def _projections(decoder: nn.Module) -> list[nn.Module]:
    """What maps vectors to vectors; with adapters or quantized they are of another class, but still have a size."""
    return [module for module in decoder.modules() if hasattr(module, "in_features")]
