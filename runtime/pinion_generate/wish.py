"""Reads a call of generate(): what the engine is to write for it, and how the result looks.

Whatever is not covered raises NotCovered; then generate() itself answers the call. Nothing is run here.
"""

from dataclasses import dataclass, replace
from inspect import BoundArguments
from typing import Any

import torch
from torch import Tensor

from pinion_generate.seeds import Seed
from pinion_textgen.decoders import not_covered
from pinion_textgen.options import Options

_READ = ("min_length", "min_new_tokens")
"""What is no matter for a whole model but for a call."""


class NotCovered(Exception):
    """The engine cannot do that; the message is the reason."""


@dataclass(frozen=True)
class Wish:
    prompts: list[list[int]]
    options: Options
    shown: Tensor
    """What generate() puts before each answer, (answers, length): the prompt as it was given, or a decoder's start."""
    padding: int
    """What fills up answers that are shorter than others of the call."""
    streamer: Any
    end_tokens: frozenset[int]

    def requests(self, drawn: Seed | None) -> list[tuple[list[int], Options]]:
        """What the engine is asked for; a seed is of no use to what is not drawn."""
        if drawn is None or not self.options.do_sample:
            return [(prompt, self.options) for prompt in self.prompts]
        return [(prompt, replace(self.options, seed=drawn.next())) for prompt in self.prompts]

    def result(self, answers: list[list[int]]) -> Tensor:
        """As generate() returns it."""
        longest = max(map(len, answers))
        filled = [answer + [self.padding] * (longest - len(answer)) for answer in answers]
        return torch.cat([self.shown, torch.tensor(filled, device=self.shown.device)], dim=-1)


def wish_of(model: Any, call: BoundArguments) -> Wish:
    """Raises NotCovered, or whatever Transformers has to say about the arguments."""
    given = dict(call.arguments)
    given.pop("self")
    named = given.pop("kwargs", {})
    inputs, configuration, streamer = (given.pop(name, None) for name in ("inputs", "generation_config", "streamer"))
    _demand(not (others := [name for name, value in given.items() if _is_said(value)]), ", ".join(others))
    _demand(not model.training, "the model is in training mode")
    _demand(not torch.is_autocast_enabled(model.device.type), "autocast")
    is_length_default = all(
        getattr(said, "max_length", None) is None for said in (configuration, model.generation_config)
    ) and (named.get("max_length") is None)
    config, rest = model._prepare_generation_config(configuration, **named)
    _check(config)
    ids = _ids(inputs, rest.pop("input_ids", None))
    mask = rest.pop("attention_mask", None)
    _demand(not rest, ", ".join(rest))
    prompts = _prompts(model, config, ids, mask)
    count = config.num_return_sequences
    _demand(streamer is None or len(prompts) * count == 1, "a streamer for several answers")
    shown = _shown(model, config, ids).repeat_interleave(count, dim=0)
    options = _options(config, shown.shape[1], _most_new(model, config, shown.shape[1], is_length_default))
    return Wish(prompts, options, shown, _padding(config), streamer, _end_tokens(config))


def _is_said(value: Any) -> bool:
    return value is not None and value is not False and not (isinstance(value, list) and not value)


def _check(config: Any) -> None:
    usual = config._get_default_generation_params()
    said = {name: value for name, value in config.to_dict().items() if value != usual.get(name) and name not in _READ}
    asked = not_covered(said)
    asked += [name for name in ("return_dict_in_generate", "cache_implementation") if getattr(config, name, None)]
    asked += [name for name in ("output_attentions", "output_hidden_states") if getattr(config, name, None)]
    _demand(not asked, ", ".join(asked))
    _demand(config.num_beams == 1, "beams")


def _ids(inputs: Any, input_ids: Any) -> Tensor:
    ids = inputs if input_ids is None else input_ids
    _demand(inputs is None or input_ids is None, "two inputs")
    _demand(isinstance(ids, Tensor) and ids.ndim == 2 and ids.dtype == torch.long and ids.numel() > 0, "such inputs")
    found: Tensor = ids
    return found


def _prompts(model: Any, config: Any, ids: Tensor, mask: Any) -> list[list[int]]:
    """What of each row is to be read."""
    rows = ids.tolist()
    if mask is None:
        _demand(config.pad_token_id is None or all(config.pad_token_id not in row for row in rows), "padding unmasked")
        return [*rows]
    _demand(isinstance(mask, Tensor) and mask.shape == ids.shape, "such a mask")
    prompts = []
    for row, kept in zip(rows, mask.tolist(), strict=True):
        begin, size = kept.index(1) if 1 in kept else 0, sum(map(bool, kept))
        _demand(size > 0 and all(each == 1 for each in kept[begin : begin + size]), "a mask with holes")
        _demand(model.config.is_encoder_decoder or begin + size == len(row), "padding on the right")
        prompts.append(row[begin : begin + size])
    is_padded = any(len(prompt) < len(row) for prompt, row in zip(prompts, rows, strict=True))
    counts_padding = is_padded and not model.config.is_encoder_decoder and config.repetition_penalty != 1
    _demand(not counts_padding, "a repetition penalty for padding")
    return prompts


def _shown(model: Any, config: Any, ids: Tensor) -> Tensor:
    if not model.config.is_encoder_decoder:
        return ids
    start = config.decoder_start_token_id
    _demand(isinstance(start, int) and start == model.generation_config.decoder_start_token_id, "another start")
    return ids.new_full((len(ids), 1), start)


def _most_new(model: Any, config: Any, shown: int, is_length_default: bool) -> int:
    if config.max_new_tokens is not None:
        return int(config.max_new_tokens)
    if not is_length_default:
        return int(config.max_length) - shown
    positions = getattr(model.config, "max_position_embeddings", None)
    return int(config.max_length) if positions is None else min(config.max_length, positions - shown)


def _options(config: Any, shown: int, most_new: int) -> Options:
    least = config.min_new_tokens if config.min_new_tokens is not None else max(0, (config.min_length or 0) - shown)
    common: dict[str, Any] = {"min_new_tokens": least, "repetition_penalty": float(config.repetition_penalty or 1)}
    try:
        if not config.do_sample:
            return Options(most_new, **common, sequences=config.num_return_sequences)
        return Options(
            most_new,
            **common,
            do_sample=True,
            temperature=float(1 if config.temperature is None else config.temperature),
            top_k=config.top_k or 0,
            top_p=float(1 if config.top_p is None else config.top_p),
            sequences=config.num_return_sequences,
        )
    except (ValueError, TypeError) as reason:  # generate() has words of its own for that
        raise NotCovered(str(reason)) from reason


def _end_tokens(config: Any) -> frozenset[int]:
    said = config.eos_token_id
    return frozenset([said] if isinstance(said, int) else said or ())


def _padding(config: Any) -> int:
    said = config.eos_token_id if config.pad_token_id is None else config.pad_token_id
    return int(said[0] if isinstance(said, list) else said or 0)


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotCovered(otherwise)
