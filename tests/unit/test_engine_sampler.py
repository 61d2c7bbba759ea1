"""Tokens are drawn from exactly the distribution that generate() draws from."""

import pytest
import torch
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor
from transformers.generation import (
    MinNewTokensLengthLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from tests.text_models import DEVICE, VOCABULARY  # first: it finds the runtime

from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.request import Request, Sequence  # isort: skip
from pinion_textgen.sampler import Sampler  # isort: skip

DRAWS = 1500
END = 1
SETTINGS = [
    Options(99, do_sample=True, temperature=temperature, top_p=top_p, top_k=top_k, repetition_penalty=penalty)
    for temperature, top_p, top_k, penalty in [
        (0.7, 0.9, 50, 1.2),
        (1.0, 1.0, 0, 1.0),
        (1.3, 1.0, 20, 1.0),
        (0.5, 0.3, 50, 1.5),
        (3.0, 0.95, 0, 1.0),
        (8.0, 0.99, 0, 0.8),
        (9.0, 0.9, 280, 1.0),
        (2.0, 0.8, 5, 1.1),
        (1.0, 0.01, 0, 1.0),
        (4.0, 0.97, 100, 1.0),
    ]
]


class Evenly:
    """Draws every share of 0 to 1 in turn, so that counts are shares and not chance."""

    def __init__(self) -> None:
        self.drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return (self.drawn - 0.5) / DRAWS


def sequence_with(options: Options) -> Sequence:
    [sequence] = Request([2], options).sequences
    sequence.random = Evenly()  # type: ignore[assignment]
    return sequence


def expected(scores: torch.Tensor, seen: list[int], options: Options) -> torch.Tensor:
    processors = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(options.repetition_penalty)])
    processors.append(TemperatureLogitsWarper(options.temperature))
    if options.top_k:
        processors.append(TopKLogitsWarper(options.top_k))
    processors.append(TopPLogitsWarper(options.top_p))
    return processors(torch.tensor([seen]), scores[None].clone()).softmax(-1)[0]


def test_every_token_is_drawn_as_often_as_generate_would() -> None:
    torch.manual_seed(0)
    scores = torch.randn(len(SETTINGS), VOCABULARY) * 3
    seen = torch.randint(0, VOCABULARY, (len(SETTINGS), 40)).tolist()
    sequences = [sequence_with(options) for options in SETTINGS]
    counts = torch.zeros(len(SETTINGS), VOCABULARY)
    for _ in range(DRAWS):
        sampler = Sampler(frozenset({END}), DEVICE)
        sampler.join(seen)
        chosen = sampler.choose(scores.to(DEVICE, copy=True), sequences)
        counts[torch.arange(len(SETTINGS)), chosen] += 1
    wanted = torch.stack([expected(*each) for each in zip(scores, seen, SETTINGS, strict=True)])
    assert (counts[wanted == 0] == 0).all()
    assert (counts / DRAWS - wanted).abs().max() <= 1.01 / DRAWS


@pytest.mark.parametrize("written", [0, 2, 3])
def test_an_answer_may_not_end_too_early(written: int) -> None:
    options = Options(9, min_new_tokens=3)
    sequence = sequence_with(options)
    sequence.tokens = [5] * written
    scores = torch.zeros(1, VOCABULARY)
    scores[0, END] = 9
    sampler = Sampler(frozenset({END}), DEVICE)
    sampler.join([[0]])
    processor = MinNewTokensLengthLogitsProcessor(1, options.min_new_tokens, END)
    wanted = processor(torch.tensor([[0, *sequence.tokens]]), scores.clone()).argmax(-1).tolist()
    assert sampler.choose(scores.to(DEVICE, copy=True), [sequence]) == wanted


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"min_new_tokens": 11}, r"from 0 to max_new_tokens \(10\)"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"repetition_penalty": -1.0}, "repetition_penalty is -1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 0.0}, "top_p is 0"),
        ({"sequences": 0}, "sequences is 0"),
        ({"sequences": 2}, "without do_sample"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_before_it_joins(changes: dict[str, float], says: str) -> None:
    given: dict[str, float] = {"max_new_tokens": 10, **changes}
    with pytest.raises(ValueError, match=says):
        Options(**given)  # type: ignore[arg-type]
