"""A predictor that calls generate() itself, in a model process: its predictions share a batch and stay apart."""

import asyncio
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, T5ForConditionalGeneration

from tests.model_processes import LIBRARIES_SECONDS, PREDICTORS, ROOT, Heard, Start
from worker.events import Done, Metric
from worker.process import ModelProcess

WEIGHTS = ROOT / "examples" / "tiny-t5" / "weights"
ENDLESS = {"max_new_tokens": 30_000, "min_new_tokens": 30_000}
PROMPTS = [f"spell: {number}" for number in range(4200, 4212)] + [
    f"count: from {number} to 104" for number in range(96, 100)
]


@pytest.fixture(scope="module")
def greedy() -> dict[str, Any]:
    """The tokens of each answer, as generate() writes them alone."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
    model = T5ForConditionalGeneration.from_pretrained(WEIGHTS, dtype="float32")
    inputs = {prompt: tokenizer(prompt, return_tensors="pt") for prompt in PROMPTS}
    answers = {prompt: model.generate(**given, max_new_tokens=64)[0] for prompt, given in inputs.items()}
    return {prompt: (tokenizer.decode(each, skip_special_tokens=True), len(each)) for prompt, each in answers.items()}


async def started(start: Start, predictor: str | Path = "calls_generate") -> ModelProcess:
    return await start(predictor, LIBRARIES_SECONDS, weights=WEIGHTS)


def asked(process: ModelProcess, prompt: str, heard: Heard, **given: Any) -> "asyncio.Task[Done]":
    return asyncio.create_task(process.predict(prompt, {"prompt": prompt, **given}, heard.take))


async def test_each_gets_what_it_would_get_alone_with_its_own_logs_and_metrics(start: Start, greedy: dict[str, Any]):
    process = await started(start)
    for how in ("thread", "at once"):
        heard = {prompt: Heard() for prompt in PROMPTS}
        async with asyncio.timeout(LIBRARIES_SECONDS):
            done = await asyncio.gather(*(asked(process, prompt, heard[prompt], how=how) for prompt in PROMPTS))
        assert [each.error for each in done] == [None] * len(PROMPTS)
        for prompt, said in heard.items():
            text, length = greedy[prompt]
            assert "".join(said.items) == text
            assert said.logs == f"asked: {prompt}\n"
            assert said.events.count(Metric("tokens", length, "replace")) == 1
    assert process.stray_logs == ""  # else it would say why there was no batch


async def test_a_cancel_ends_its_own_call_alone_in_the_batch_or_out_of_it(start: Start, greedy: dict[str, Any]):
    process = await started(start)
    for how, no_repeat in product(("thread", "at once"), (0, 10_000)):
        endless, before, after = Heard(), Heard(), Heard()
        canceled = asked(process, "spell: 1", endless, how=how, no_repeat=no_repeat, **ENDLESS)
        await endless.until(lambda heard, how=how: bool(heard.items if how == "thread" else heard.logs))
        beside = asked(process, PROMPTS[0], before, how=how)
        async with asyncio.timeout(LIBRARIES_SECONDS):
            if not no_repeat:
                await beside  # out of the batch it would have to wait for its turn
            process.cancel("spell: 1")
            assert (await canceled).status == "canceled"
            assert (await beside).status == (await asked(process, PROMPTS[1], after)).status == "succeeded"
        assert ["".join(heard.items) for heard in (before, after)] == [greedy[prompt][0] for prompt in PROMPTS[:2]]
        assert endless.logs == "asked: spell: 1\n"
    assert process.alive


async def test_a_model_that_cannot_be_batched_says_so_when_it_starts(start: Start, tmp_path: Path):
    folder = shutil.copytree(PREDICTORS / "calls_generate", tmp_path / "model")
    predictor = folder / "predict.py"
    asks = "        self.model.generation_config.no_repeat_ngram_size = 5\n\n    def predict"
    predictor.write_text(predictor.read_text().replace("\n    def predict", asks, 1))
    process = await started(start, folder)
    assert process.setup_logs.endswith(
        "generate() of T5ForConditionalGeneration answers one call at a time: "
        "its generation_config asks for no_repeat_ngram_size.\n"
    )
