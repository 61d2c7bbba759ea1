"""Calls of generate() at the same time get what each would get alone, and only what can be batched is."""

import copy
import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    MaxLengthCriteria,
    NoBadWordsLogitsProcessor,
    StoppingCriteriaList,
    TextIteratorStreamer,
    TextStreamer,
    set_seed,
)
from transformers.generation.streamers import BaseStreamer
from transformers.generation.utils import GenerationMixin

from tests.hub import byte_tokenizer
from tests.interception_fixtures import intercepted  # noqa: F401
from tests.text_models import END, made, prompts  # first: it finds the runtime

from pinion_generate import interception  # isort: skip
from pinion_runtime.control import Prediction, current  # isort: skip

PATIENCE_SECONDS = 120
FAMILIES = ("t5-gated", "llama")
alone = GenerationMixin.generate
Call = Callable[[], Any]


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return made(request.param)


def at_once(*calls: Call) -> list[Any]:
    """What each returns or raises, in a thread and a prediction of its own; all begin together."""
    results: list[Any] = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(index: int) -> None:
        current.set(Prediction(f"p{index}", {}))
        start.wait(PATIENCE_SECONDS)
        try:
            results[index] = calls[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    return results


def one(prompt: list[int], **named: Any) -> dict[str, Any]:
    ids = torch.tensor([prompt])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), **named}


def several(rows: list[list[int]], side: str, **named: Any) -> dict[str, Any]:
    """Padded to the longest."""
    longest = max(map(len, rows))
    fillings = [longest - len(row) for row in rows]
    before = [filling if side == "left" else 0 for filling in fillings]
    ids = [[0] * left + row + [0] * (longest - len(row) - left) for row, left in zip(rows, before, strict=True)]
    mask = [
        [0] * left + [1] * len(row) + [0] * (longest - len(row) - left) for row, left in zip(rows, before, strict=True)
    ]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask), **named}


def reasons(model: Any) -> set[str]:
    """Why calls were answered one at a time."""
    return interception._desk_of(model, print)._told


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        return isinstance(found, Tensor) and found.dtype == expected.dtype and found.tolist() == expected.tolist()
    return type(found) is type(expected) and found.sequences.tolist() == expected.sequences.tolist()


class Rows:
    """How many rows the steps of a model's engine had."""

    def __init__(self, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[int] = []
        decoder = interception._desk_of(model, print)._decoder
        advance = decoder.advance

        def counted(tokens: list[int]) -> list[list[int]]:
            self.seen.append(len(tokens))
            return advance(tokens)

        monkeypatch.setattr(decoder, "advance", counted)


def covered(random: Random) -> list[dict[str, Any]]:
    first, second, third, *rest = prompts(random, 16)
    return [
        one(first, max_new_tokens=20),
        one(second, max_length=60),
        one(third),
        one(rest[0], max_new_tokens=12, min_new_tokens=6, repetition_penalty=1.3, do_sample=False, num_beams=1),
        one(rest[1], generation_config=GenerationConfig(max_new_tokens=9, pad_token_id=0, eos_token_id=END)),
        one(rest[2], max_new_tokens=9, min_length=7, temperature=0.3, top_p=0.4, use_cache=True),
        {"inputs": torch.tensor([[7, 8, 9]]), "max_new_tokens": 9},
        several(rest[3:7], "left", max_new_tokens=15),
        several([rest[7]] * 3, "left", max_new_tokens=5),
        *(one(prompt, max_new_tokens=30) for prompt in rest[8:]),
    ]


@pytest.mark.filterwarnings("ignore:Using the model-agnostic default")
def test_calls_at_once_return_what_each_returns_alone_and_share_a_batch(model: Any, monkeypatch: pytest.MonkeyPatch):
    calls = covered(Random(3))
    if model.config.is_encoder_decoder:
        calls.append(several(prompts(Random(4), 3), "right", max_new_tokens=15))
    expected = [alone(model, **call) for call in calls]
    rows = Rows(model, monkeypatch)
    found = at_once(*((lambda call=call: model.generate(**call)) for call in calls))
    for index, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        assert same(got, wanted), (index, got, wanted)
    assert reasons(model) == set()
    assert max(rows.seen) > 8


def not_covered(model: Any) -> list[dict[str, Any]]:
    prompt, *rows = prompts(Random(5), 4, longest=12)
    start = {"decoder_input_ids": torch.tensor([[0, 9]])} if model.config.is_encoder_decoder else {}
    banned = LogitsProcessorList([NoBadWordsLogitsProcessor([[5]], eos_token_id=END)])
    short = StoppingCriteriaList([MaxLengthCriteria(max_length=17)])
    calls = [
        one(prompt, max_new_tokens=6, num_beams=3),
        one(prompt, max_new_tokens=6, no_repeat_ngram_size=2),
        one(prompt, max_new_tokens=6, return_dict_in_generate=True, output_scores=True),
        one(prompt, max_new_tokens=6, eos_token_id=[3, 4]),
        one(prompt, max_new_tokens=12, logits_processor=banned),
        one(prompt, max_new_tokens=12, stopping_criteria=short),
        one(prompt, max_new_tokens=6, suppress_tokens=[9, 10]),
        one(prompt, max_new_tokens=6, **start, num_return_sequences=1, diversity_penalty=0.0, bad_words_ids=[[5]]),
        {"input_ids": torch.tensor([[5, 0, 6]]), "max_new_tokens": 6},
        several(rows, "right", max_new_tokens=6, repetition_penalty=1.5, no_repeat_ngram_size=3),
    ]
    if not model.config.is_encoder_decoder:
        calls.append(several(rows, "right", max_new_tokens=6))
        calls.append(several(rows, "left", max_new_tokens=6, repetition_penalty=1.5))
        calls.append(
            {"inputs_embeds": model.get_input_embeddings()(torch.tensor([prompt])).detach(), "max_new_tokens": 6}
        )
    else:
        calls.append(one(prompt, max_new_tokens=6, **start))
    return calls


def test_what_is_not_covered_is_answered_by_generate_itself_beside_the_batch(model: Any):
    calls = not_covered(model)
    expected = [alone(model, **call) for call in calls]
    beside = one(prompts(Random(6), 1)[0], max_new_tokens=40)
    beside_alone = alone(model, **beside)
    found = at_once(*((lambda call=call: model.generate(**call)) for call in [*calls, beside, beside]))
    for index, (got, wanted) in enumerate(zip(found, [*expected, beside_alone, beside_alone], strict=True)):
        assert same(got, wanted), (index, got, wanted)
    assert len(reasons(model)) >= 8


@pytest.mark.parametrize(
    "wrong",
    [
        one([10_000], max_new_tokens=4),
        one([5], max_new_tokens=4, mispelled=True),
        one([5], do_sample=True, temperature=0.0),
        one([5], max_new_tokens=4, num_return_sequences=2),
        {"input_ids": torch.tensor([[5]]), "attention_mask": torch.tensor([[1, 1]]), "max_new_tokens": 0},
    ],
)
def test_what_cannot_be_answered_fails_as_alone_and_touches_no_other(model: Any, wrong: dict[str, Any]):
    with pytest.raises(Exception) as failure:  # noqa: PT011  whichever it is
        alone(model, **wrong)
    good = one(prompts(Random(7), 1)[0], max_new_tokens=30)
    expected = alone(model, **good)
    bad, *found = at_once(lambda: model.generate(**wrong), *([lambda: model.generate(**good)] * 3))
    assert (type(bad), str(bad)) == (failure.type, str(failure.value))
    assert all(same(each, expected) for each in found)


def sampled(model: Any, seed: int | None, **more: Any) -> Call:
    def call() -> Any:
        if seed is not None:
            set_seed(seed)
        given = one([5, 6, 7], max_new_tokens=16, do_sample=True, temperature=9.0, top_k=0, **more)
        return [model.generate(**given).tolist() for _ in range(2)]

    return call


def test_a_seed_of_a_prediction_draws_the_same_whatever_runs_beside_it(model: Any):
    one_way, again, other, unseeded, *_ = at_once(*(sampled(model, seed) for seed in (1, 1, 2, None, None, 3, 4)))
    assert one_way == again
    assert one_way[0] != one_way[1]
    assert len({str(each[0]) for each in (one_way, other, unseeded)}) == 3
    assert at_once(sampled(model, 1)) == [one_way]


def test_several_answers_to_a_prompt_are_as_many_rows(model: Any):
    wanted = {"do_sample": True, "num_return_sequences": 3, "max_new_tokens": 9, "min_new_tokens": 9}
    [found] = at_once(lambda: model.generate(**several([[5, 6, 7], [8]], "left"), **wanted))
    expected = alone(model, **several([[5, 6, 7], [8]], "left"), **wanted)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert found[:, :-9].tolist() == expected[:, :-9].tolist()
    assert reasons(model) == set()


def test_a_seed_counts_also_for_what_generate_itself_draws(model: Any):
    more = {"no_repeat_ngram_size": 9}
    torch.random.manual_seed(1)
    given = one([5, 6, 7], max_new_tokens=16, do_sample=True, temperature=9.0, top_k=0, **more)
    expected = [alone(model, **given).tolist() for _ in range(2)]
    found = at_once(*(sampled(model, seed, **more) for seed in (1, 2, 1, 3)))
    assert found[0] == found[2] == expected
    assert found[1] != expected


@pytest.fixture
def tokenizer() -> Any:
    return byte_tokenizer()


def test_a_streamer_is_told_what_generate_tells_it(model: Any, capsys: pytest.CaptureFixture[str], tokenizer: Any):
    class Kept(BaseStreamer):  # type: ignore[misc]
        def __init__(self) -> None:
            self.heard: list[Any] = []

        def put(self, value: Tensor) -> None:
            self.heard.append(value.tolist())

        def end(self) -> None:
            self.heard.append("end")

    asked = prompts(Random(8), 6)
    expected, found = [Kept() for _ in asked], [Kept() for _ in asked]
    results = [
        alone(model, **one(prompt, max_new_tokens=12), streamer=kept)
        for prompt, kept in zip(asked, expected, strict=True)
    ]
    answers = at_once(
        *(
            (lambda prompt=prompt, kept=kept: model.generate(**one(prompt, max_new_tokens=12), streamer=kept))
            for prompt, kept in zip(asked, found, strict=True)
        )
    )
    assert [kept.heard for kept in found] == [kept.heard for kept in expected]
    assert all(same(got, wanted) for got, wanted in zip(answers, results, strict=True))
    assert reasons(model) == set()
    alone(model, **one(asked[0], max_new_tokens=12), streamer=TextStreamer(tokenizer, skip_prompt=True))
    printed = capsys.readouterr().out
    at_once(
        lambda: model.generate(**one(asked[0], max_new_tokens=12), streamer=TextStreamer(tokenizer, skip_prompt=True))
    )
    assert capsys.readouterr().out == printed


def test_a_streamer_that_fails_ends_its_own_call_alone(model: Any):
    class Failing(BaseStreamer):  # type: ignore[misc]
        def put(self, value: Tensor) -> None:
            if value.ndim == 1:
                raise RuntimeError("enough")

    good = one(prompts(Random(7), 1)[0], max_new_tokens=30)
    expected = alone(model, **good)
    failed, *found = at_once(
        lambda: model.generate(**good, streamer=Failing()), *([lambda: model.generate(**good)] * 3)
    )
    assert str(failed) == "enough"
    assert all(same(each, expected) for each in found)


def test_a_streamer_for_several_answers_is_generates_own_affair(model: Any, tokenizer: Any):
    [failed] = at_once(lambda: model.generate(**several([[5], [6]], "left"), streamer=TextIteratorStreamer(tokenizer)))
    assert str(failed) == "TextStreamer only supports batch size 1"


def test_a_model_in_training_mode_or_under_autocast_is_left_to_generate(model: Any):
    def under_autocast() -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return model.generate(**one([5, 6], max_new_tokens=4))

    at_once(under_autocast)
    assert reasons(model) == {"a call asks for autocast"}
    model.train()
    at_once(lambda: model.generate(**one([5, 6], max_new_tokens=4)))
    assert "a call asks for the model is in training mode" in reasons(model)
    model.eval()


def test_two_threads_with_different_wishes_do_not_spoil_each_others_tokens(tokenizer: Any):
    def cut() -> list[int]:
        return [len(tokenizer("the quick brown fox", truncation=True, max_length=3)["input_ids"]) for _ in range(300)]

    def padded() -> list[int]:
        texts = ["fox", "the quick brown fox"]
        return [len({len(row) for row in tokenizer(texts, padding=True)["input_ids"]}) for _ in range(300)]

    found = at_once(*[cut, padded] * 4)
    assert found == [[3] * 300, [1] * 300] * 4


def test_a_model_can_still_be_copied(model: Any):
    at_once(lambda: model.generate(**one([5, 6], max_new_tokens=4)))
    twin = copy.deepcopy(model)
    assert same(
        at_once(lambda: twin.generate(**one([5, 6], max_new_tokens=4)))[0],
        alone(model, **one([5, 6], max_new_tokens=4)),
    )
