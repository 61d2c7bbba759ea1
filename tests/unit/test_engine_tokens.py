"""What the engine writes is what generate() writes for each request alone, whatever else is in the batch."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch

from tests.text_models import DEVICE, FAMILIES, generated, made, prompts, run  # first: it finds the runtime

from pinion_textgen.admission import Limits  # isort: skip
from pinion_textgen.decoders import decoder_of  # isort: skip
from pinion_textgen.engine import Engine  # isort: skip
from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.request import End, Request  # isort: skip

LONGEST = 48


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def greedy_options(random: Random) -> dict[str, Any]:
    longest = random.randint(1, LONGEST)
    return {
        "max_new_tokens": longest,
        "min_new_tokens": random.choice([0, random.randint(0, longest)]),
        "repetition_penalty": random.choice([1.0, 1.3, 0.8]),
    }


def test_joins_leaves_and_cancels_at_every_step_change_no_token(model: Any) -> None:
    random = Random(7)
    engine = Engine(decoder_of(model), Limits(rows=6))
    coming = [(prompt, greedy_options(random)) for prompt in prompts(random, 24)]
    told: list[tuple[dict[str, Any], Request]] = []
    while coming or engine.is_busy:
        for prompt, options in coming[: random.choice([0, 0, 1, 2])]:
            told.append((options, Request(prompt, Options(**options))))
            engine.submit(told[-1][1])
            coming.pop(0)
        if told and random.random() < 0.08:
            engine.cancel(random.choice(told)[1])
        engine.step()
    assert {sequence.end for _, each in told for sequence in each.sequences} >= {End.CANCELED, End.LENGTH}
    for options, each in told:
        [sequence] = each.sequences
        expected = generated(model, each.prompt, **options)
        assert sequence.tokens == (expected[: len(sequence.tokens)] if sequence.end == End.CANCELED else expected)


@pytest.mark.skipif(DEVICE.type == "cpu", reason="all of this runs on the CPU: ./pinion test --gpu runs it on a GPU")
def test_models_are_on_the_gpu(model: Any) -> None:
    assert model.device.type == "cuda"


@pytest.mark.parametrize("family", ["t5-gated", "mt5", "llama"])
def test_in_float64_no_rounding_decides_between_tokens(family: str) -> None:
    model = made(family, torch.float64)
    asked = [Request(prompt, Options(LONGEST, repetition_penalty=1.1)) for prompt in prompts(Random(12), 16)]
    run(Engine(decoder_of(model), Limits(rows=5, prompt_tokens_per_step=30)), *asked)
    for request in asked:
        expected = generated(model, request.prompt, max_new_tokens=LONGEST, repetition_penalty=1.1)
        assert request.sequences[0].tokens == expected


def test_answers_differ_so_that_they_can_be_mixed_up(model: Any) -> None:
    answers = {tuple(generated(model, prompt, max_new_tokens=12)) for prompt in prompts(Random(7), 8)}
    assert len(answers) >= 6


def test_the_models_end_ends_a_sequence_and_is_its_last_token(model: Any) -> None:
    prompt = prompts(Random(2), 1)[0]
    written = generated(model, prompt, max_new_tokens=8)
    decoder = decoder_of(model)
    decoder.end_tokens = frozenset({written[4]})
    request = Request(prompt, Options(max_new_tokens=8))
    run(Engine(decoder), request)
    [sequence] = request.sequences
    assert (sequence.end, sequence.tokens) == (End.STOP, written[: written.index(written[4]) + 1])


def test_a_seed_draws_the_same_alone_and_in_company(model: Any) -> None:
    random = Random(5)
    drawn = Options(max_new_tokens=20, do_sample=True, temperature=20.0, top_p=0.95, top_k=0, seed=11)
    prompt, *others = prompts(random, 9)
    alone, among, other_seed = (Request(prompt, each) for each in (drawn, drawn, replace(drawn, seed=12)))
    run(Engine(decoder_of(model)), alone)
    company = [Request(each, Options(random.randint(5, 30), do_sample=True, temperature=2.0)) for each in others]
    run(Engine(decoder_of(model)), *company[:4], among, other_seed, *company[4:])
    assert alone.sequences[0].tokens == among.sequences[0].tokens != other_seed.sequences[0].tokens


def test_several_sequences_of_a_prompt_differ_and_the_first_is_that_of_one_alone(model: Any) -> None:
    prompt, other = prompts(Random(6), 2)
    one, several = (
        Request(prompt, Options(16, do_sample=True, temperature=1.5, seed=4, sequences=count)) for count in (1, 4)
    )
    greedy = Request(other, Options(16))
    run(Engine(decoder_of(model)), several, greedy)
    run(Engine(decoder_of(model)), one)
    assert several.sequences[0].tokens == one.sequences[0].tokens
    assert len({tuple(sequence.tokens) for sequence in several.sequences}) == 4
    assert greedy.sequences[0].tokens == generated(model, other, max_new_tokens=16)
