"""Who is in the batch and when: arrival, memory, cancels, and what a failure costs."""

from collections.abc import Generator, Sequence
from random import Random
from typing import Any

import pytest
from torch import Tensor, nn

from tests.text_models import POSITIONS, VOCABULARY, generated, made, prompts, run  # first: it finds the runtime

from pinion_textgen.admission import Limits  # isort: skip
from pinion_textgen.decoders import CannotBatch, decoder_of  # isort: skip
from pinion_textgen.engine import Engine  # isort: skip
from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.request import End, Request  # isort: skip
from pinion_textgen.steps import Steps  # isort: skip
from pinion_textgen.t5 import T5Decoder  # isort: skip


@pytest.fixture(scope="module")
def model() -> Any:
    return made("t5-gated")


@pytest.fixture
def decoder(model: Any) -> Any:
    decoder = decoder_of(model)
    decoder.end_tokens = frozenset()  # how long an answer gets is for the tests to say
    return decoder


def asked(count: int = 1, longest: int = 20, **options: Any) -> list[Request]:
    return [Request(prompt, Options(longest, **options)) for prompt in prompts(Random(1), count)]


def written(requests: list[Request]) -> list[int]:
    return [len(request.sequences[0].tokens) for request in requests]


def test_a_cancel_frees_the_row_at_the_next_step(decoder: Any) -> None:
    engine = Engine(decoder, Limits(rows=1))
    first, second = asked(2)
    engine.submit(first)
    engine.submit(second)
    for _ in range(3):
        engine.step()
    engine.cancel(first)
    engine.step()
    assert written([first, second]) == [3, 1]
    assert first.sequences[0].end == End.CANCELED
    run(engine)
    assert second.sequences[0].end == End.LENGTH


def test_a_request_that_waits_can_be_canceled_and_one_that_is_over_stays_as_it_is(decoder: Any) -> None:
    engine = Engine(decoder, Limits(rows=1))
    first, second = asked(2, longest=2)
    engine.submit(first)
    engine.submit(second)
    engine.cancel(second)
    run(engine)
    engine.cancel(first)
    engine.step()
    assert (first.sequences[0].end, second.sequences[0].end) == (End.LENGTH, End.CANCELED)
    assert written([second]) == [0]


def test_listeners_hear_every_token_and_the_end_once(decoder: Any) -> None:
    heard: list[int | None] = []
    request = Request([5, 6, 7], Options(4), lambda sequence, token: heard.append(token))
    run(Engine(decoder), request)
    assert heard == [*request.sequences[0].tokens, None]


def test_nobody_overtakes_a_request_that_waits_for_rows(decoder: Any) -> None:
    engine = Engine(decoder, Limits(rows=4))
    running, after = asked(3), asked(1, longest=5)
    [wide] = asked(1, longest=5, do_sample=True, sequences=3)
    for request in (*running, wide, *after):
        engine.submit(request)
    engine.step()
    assert engine.rows == 3
    engine.cancel(running[0])
    engine.step()
    assert written([wide, *after]) == [0, 0]
    engine.cancel(running[1])
    engine.step()
    assert written([wide, *after]) == [1, 0]
    run(engine)
    assert written(after) == [5]


def test_memory_bounds_who_runs_at_once_and_all_are_answered(decoder: Any) -> None:
    of_eight = decoder.bytes_of(8, (64, 64))
    engine = Engine(decoder, Limits(cache_bytes=of_eight))
    requests = asked(30, longest=30)
    for request in requests:
        engine.submit(request)
    most = 0
    while engine.is_busy:
        engine.step()
        most = max(most, engine.rows)
        assert decoder.cache_bytes <= of_eight
    assert most == 8
    assert written(requests) == [30] * 30


def test_reading_prompts_never_keeps_others_from_writing(decoder: Any) -> None:
    engine = Engine(decoder, Limits(prompt_tokens_per_step=100))
    [first, *others] = asked(40)
    engine.submit(first)
    engine.step()
    for request in others:
        engine.submit(request)
    before = engine.rows
    while engine.rows < 40:
        engine.step()
        assert engine.rows > before
        joined = [request for request in others if len(request.sequences[0].tokens) == 1]
        assert sum(len(request.prompt) for request in joined) <= 100
        before = engine.rows
    assert written([first])[0] > 5


@pytest.mark.parametrize("family", ["llama", "gpt2", "umt5"])
def test_a_long_prompt_is_read_over_several_steps_while_others_write(family: str) -> None:
    model = made(family)
    engine = Engine(decoder_of(model), Limits(prompt_tokens_per_step=20))
    writing, canceled, behind = (Request(prompt, Options(30, min_new_tokens=30)) for prompt in prompts(Random(3), 3, 9))
    long = Request(prompts(Random(4), 1, 1)[0] * 61, Options(8))
    for request in (writing, long, behind):
        engine.submit(request)
    steps = 0
    while not long.sequences[0].tokens:
        engine.step()
        steps += 1
        assert written([writing]) == [steps]
        assert not behind.sequences[0].tokens or long.sequences[0].tokens
    assert steps > 2 if family == "umt5" else steps > 3  # it has two layers, which are read one at a time
    engine.submit(canceled)
    run(engine)
    assert long.sequences[0].tokens == generated(model, long.prompt, max_new_tokens=8)
    for request in (writing, behind, canceled):
        assert request.sequences[0].tokens == generated(model, request.prompt, max_new_tokens=30, min_new_tokens=30)


def test_a_prompt_that_is_being_read_can_be_canceled(decoder: Any) -> None:
    engine = Engine(decoder, Limits(rows=1, prompt_tokens_per_step=5))
    long, after = Request([7] * 60, Options(8)), Request([5, 6], Options(8))
    engine.submit(long)
    engine.submit(after)
    engine.step()
    assert engine.rows == 0
    engine.cancel(long)
    engine.step()
    assert (long.sequences[0].end, written([long])) == (End.CANCELED, [0])
    run(engine)
    assert written([after]) == [8]


@pytest.mark.parametrize(
    ("prompt", "options", "says"),
    [
        ([], Options(5), "prompt is empty"),
        ([VOCABULARY], Options(5), "has 300 tokens; 300 is none"),
        ([-1], Options(5), "-1 is none of them"),
        ([5], Options(5, do_sample=True, sequences=5), "5 sequences were asked for; at most 4"),
        ([5], Options(100_000), r"prompt of 1 tokens with max_new_tokens=100000 needs \d+ MiB of cache; there are 1"),
        ([5] * 100_000, Options(5), "Shorten one of them"),
    ],
)
def test_what_can_never_be_answered_is_refused_at_once(
    decoder: Any, prompt: list[int], options: Options, says: str
) -> None:
    engine = Engine(decoder, Limits(rows=4, cache_bytes=1 << 20))
    with pytest.raises(ValueError, match=says):
        engine.submit(Request(prompt, options))
    assert not engine.is_busy


class Failing(T5Decoder):
    """As if memory had run out, when it is told."""

    fails_to_read = fails_to_write = False

    def join(self, requests: list[Request], at_once: int) -> Generator[None]:
        if self.fails_to_read:
            raise MemoryError("too much to read")
        yield from super().join(requests, at_once)

    def decode(self, given: Tensor, reach: Sequence[int]) -> Tensor:
        if self.fails_to_write:
            raise MemoryError("too much to write")
        return super().decode(given, reach)


def test_a_failure_ends_those_it_happened_to_and_nobody_else(model: Any) -> None:
    decoder = Failing(model)
    engine = Engine(decoder, Limits(rows=2), Steps(decoder))  # not recorded: a replay would not fail as it is told
    first, unread, second, third = asked(4)
    engine.submit(first)
    engine.step()
    decoder.fails_to_read = True
    engine.submit(unread)
    engine.step()
    decoder.fails_to_read = False
    assert (str(unread.error), first.error) == ("too much to read", None)
    for request in (second, third):
        engine.submit(request)
    engine.step()
    decoder.fails_to_write = True
    engine.step()
    decoder.fails_to_write = False
    assert [str(request.error) for request in (first, second)] == ["too much to write"] * 2
    run(engine)
    assert third.sequences[0].tokens == generated(model, third.prompt, max_new_tokens=20)


def test_memory_that_runs_out_while_t5_prepares_to_look_farther_back_costs_only_who_wanted_it(
    model: Any, decoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attention = model.decoder.block[0].layer[0].SelfAttention

    def without_memory(*_: Any, **__: Any) -> None:
        raise MemoryError("no more")

    engine = Engine(decoder)
    for has_looked_back, longest in ((0, 60), (64, 70)):
        [failed], [later] = asked(longest=longest), asked(longest=longest)
        engine.submit(failed)
        for _ in range(has_looked_back):
            engine.step()
        with monkeypatch.context() as scarce:
            scarce.setattr(attention, "compute_bias", without_memory)
            engine.step()
        assert str(failed.error) == "no more"
        run(engine, *asked(longest=5), later)
        wanted = generated(model, later.prompt, max_new_tokens=longest, eos_token_id=None)
        assert later.sequences[0].tokens == wanted


def test_a_prompt_beyond_the_models_positions_is_refused_and_one_that_just_fits_is_answered() -> None:
    llama = made("llama")
    engine = Engine(decoder_of(llama))
    prompt = [5] * (POSITIONS - 4)
    with pytest.raises(ValueError, match=r"has 124 tokens, and 5 more are asked for; the model has 128 positions"):
        engine.submit(Request(prompt, Options(5)))
    fitting = Request(prompt, Options(4))
    run(engine, fitting)
    assert fitting.sequences[0].tokens == generated(llama, prompt, max_new_tokens=4)


class Adapted(nn.Linear):
    """As a LoRA's layer is one of another class."""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda model: setattr(model.config, "model_type", "bart"), "models of type bart are not batched"),
        (lambda model: model.half(), "float16"),
        (lambda model: setattr(model.generation_config, "decoder_start_token_id", None), "answers start with"),
        (lambda model: setattr(model.decoder.block[0].layer[0].SelfAttention, "q", Adapted(48, 48)), "adapted"),
    ],
)
def test_a_t5_that_cannot_be_batched_says_why(change: Any, says: str) -> None:
    model = made("t5-gated")
    change(model)
    with pytest.raises(CannotBatch, match=says):
        decoder_of(model)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({"no_repeat_ngram_size": 1, "bad_words_ids": [[3]]}, "no_repeat_ngram_size"),
        ({"remove_invalid_values": True}, "remove_invalid_values"),
        ({"num_beams": 4, "typical_p": 1.0, "no_repeat_ngram_size": 0, "temperature": 0.6}, None),
    ],
)
def test_what_a_model_wants_beyond_the_options_is_not_left_out_silently(
    settings: dict[str, Any], refused: str | None
) -> None:
    model = made("llama")
    model.generation_config.update(**settings)
    if refused is None:
        decoder_of(model)
        return
    with pytest.raises(CannotBatch, match=f"generation_config asks for .*{refused}"):
        decoder_of(model)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding window"),
        ({"rope_parameters": {"rope_type": "dynamic"}}, "depend on the longest"),
        ({"_attn_implementation_internal": "flash_attention_2"}, "takes no mask"),
    ],
)
def test_a_decoder_only_model_that_cannot_be_batched_says_why(settings: dict[str, Any], says: str) -> None:
    model = made("llama")
    vars(model.config).update(settings)
    with pytest.raises(CannotBatch, match=says):
        decoder_of(model)
