"""Requests on an event loop: together through the engine, or one by one through generate()."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from tests.text_models import DEVICE, generated, made, prompts  # first: it finds the runtime

from pinion_textgen.admission import Limits  # isort: skip
from pinion_textgen.batching import Batching, WritingFailed  # isort: skip
from pinion_textgen.decoders import CannotBatch, decoder_of  # isort: skip
from pinion_textgen.engine import Engine  # isort: skip
from pinion_textgen.one_by_one import OneByOne  # isort: skip
from pinion_textgen.options import Options  # isort: skip
from pinion_textgen.t5 import T5Decoder  # isort: skip

GREEDY = Options(12)


@pytest.fixture(scope="module")
def model() -> Any:
    return made("t5-gated")


@pytest.fixture(params=["together", "one by one"])
def writer(request: pytest.FixtureRequest, model: Any) -> Any:
    return Batching(Engine(decoder_of(model))) if request.param == "together" else OneByOne(model)


async def all_of(writer: Any, prompt: list[int], options: Options = GREEDY) -> list[int]:
    return [token async for token in writer.tokens(prompt, options)]


async def test_many_at_once_are_answered_as_each_alone(writer: Any, model: Any) -> None:
    asked = prompts(Random(8), 10)
    answers = await asyncio.gather(*(all_of(writer, prompt) for prompt in asked))
    assert answers == [generated(model, prompt, max_new_tokens=12) for prompt in asked]


async def test_one_that_is_canceled_makes_room_and_changes_nothing_for_others(writer: Any, model: Any) -> None:
    given_up, *others = prompts(Random(8), 4)
    endless = asyncio.create_task(all_of(writer, given_up, Options(20_000, min_new_tokens=20_000)))
    answers = [asyncio.create_task(all_of(writer, prompt)) for prompt in others]
    if isinstance(writer, Batching):
        await asyncio.wait(answers)
    else:
        await asyncio.sleep(0)  # its turn is the first
    endless.cancel()
    assert await asyncio.gather(*answers) == [generated(model, prompt, max_new_tokens=12) for prompt in others]
    with pytest.raises(asyncio.CancelledError):
        await endless


async def test_one_that_is_closed_between_two_tokens_ends(writer: Any, model: Any) -> None:
    first, second = prompts(Random(8), 2)
    async with aclosing(writer.tokens(first, Options(20_000, min_new_tokens=20_000))) as tokens:
        assert await anext(tokens) == generated(model, first, max_new_tokens=1, min_new_tokens=1)[0]
    assert await all_of(writer, second) == generated(model, second, max_new_tokens=12)


async def test_a_seed_makes_sampling_repeatable(writer: Any) -> None:
    [prompt] = prompts(Random(8), 1)
    one, again, other = [
        await all_of(writer, prompt, Options(16, do_sample=True, temperature=9.0, top_k=0, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert one == again != other


async def test_what_cannot_be_answered_is_told_and_others_go_on(model: Any) -> None:
    writer = Batching(Engine(decoder_of(model), Limits(cache_bytes=1 << 20)))
    good, bad = prompts(Random(8), 2)
    answer = asyncio.create_task(all_of(writer, good))
    with pytest.raises(ValueError, match="Shorten one of them"):
        await all_of(writer, bad, Options(100_000))
    assert await answer == generated(model, good, max_new_tokens=12)


class Breaking(T5Decoder):
    """As if the device were lost: it neither decodes nor gives its memory back."""

    def decode(self, given: Tensor, reach: Sequence[int]) -> Tensor:
        raise RuntimeError("the device is lost")

    def clear(self) -> None:
        raise RuntimeError("the device is lost")


async def test_a_broken_engine_leaves_nobody_waiting_and_then_is_left(model: Any) -> None:
    left: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    writer = Batching(Engine(Breaking(model), Limits(rows=1)), leave=left.set_result)
    answers = await asyncio.gather(
        *(all_of(writer, prompt) for prompt in prompts(Random(8), 3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [WritingFailed] * 3
    assert {str(answer) for answer in answers} == {"The model failed while it wrote: the device is lost"}
    async with asyncio.timeout(10):
        assert str(await left) == "the device is lost"
    with pytest.raises(WritingFailed, match="the device is lost"):
        await all_of(writer, [5])


async def test_whoever_watches_hears_what_the_engine_holds_and_has_done(model: Any) -> None:
    told: asyncio.Queue[dict[str, float]] = asyncio.Queue()
    writer = Batching(Engine(decoder_of(model), Limits(rows=2, cache_bytes=1 << 24)), told.put_nowait)
    await asyncio.gather(*(all_of(writer, prompt, Options(5, min_new_tokens=5)) for prompt in prompts(Random(8), 3)))
    async with asyncio.timeout(10):
        while (last := await told.get())["tokens"] < 15:
            pass
    assert (last["tokens"], last["steps"], last["steps_of_up_to_1"], last["steps_of_up_to_2"]) == (15, 10, 5, 10)
    assert (last["rows_most"], last["cache_bytes"], last["cache_bytes_most"]) == (2, 0, 1 << 24)


async def test_a_model_that_one_device_cannot_hold_says_so_and_answers_one_at_a_time(tmp_path: Path) -> None:
    whole, [prompt] = made("llama"), prompts(Random(8), 1)
    whole.save_pretrained(tmp_path / "whole")
    parts = ("model.embed_tokens", "model.layers.0", "model.norm", "model.rotary_emb", "lm_head")
    places = {**dict.fromkeys(parts, DEVICE.type), "model.layers.1": "disk"}
    spread = LlamaForCausalLM.from_pretrained(
        tmp_path / "whole", device_map=places, offload_folder=tmp_path / "rest", dtype=torch.float32
    ).eval()
    with pytest.raises(CannotBatch, match="spread over several devices"):
        decoder_of(spread)
    assert await all_of(OneByOne(spread), prompt) == generated(whole, prompt, max_new_tokens=12)


async def test_a_failing_generate_is_told(model: Any) -> None:
    with pytest.raises(IndexError):
        await all_of(OneByOne(model), [10_000])
