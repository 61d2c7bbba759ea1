"""The model that comes with Pinion answers many at once, and each as if it were alone."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from tests.acceptance.events import all_events, outputs
from tests.hub import PROJECT
from tests.instance import TERMINAL, Api

TINY_T5 = "pinion/tiny-t5"
WEIGHTS = PROJECT / "examples" / "tiny-t5" / "weights"
PROMPTS = [f"{task} {number}" for number in range(4200, 4216) for task in ("spell:", "count: from 7 to", "date: 3")] + [
    f"count: from {first} to {first + 5}" for first in range(100, 116)
]


@pytest.fixture(scope="module")
def greedy_answers() -> list[str]:
    """What generate() of Transformers writes for each alone."""
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)
    model = T5ForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32, local_files_only=True).eval()
    written = (model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=64)[0] for prompt in PROMPTS)
    return [tokenizer.decode(tokens, skip_special_tokens=True) for tokens in written]


def test_64_predictions_at_once_stream_what_each_would_get_alone(api: Api, greedy_answers: list[str]):
    api.create(TINY_T5, wait=True, prompt="spell: 1")  # the model is up

    def streamed(prompt: str) -> tuple[str, str]:
        prediction = api.create(TINY_T5, prompt=prompt, max_new_tokens=64)
        return "".join(outputs(all_events(prediction["urls"]["stream"]))), prediction["id"]

    with ThreadPoolExecutor(len(PROMPTS)) as clients:
        answers = list(clients.map(streamed, PROMPTS))
    assert [text for text, _ in answers] == greedy_answers
    ended = [api.until_status(prediction_id, *TERMINAL) for _, prediction_id in answers]
    assert {each["status"] for each in ended} == {"succeeded"}
    assert ["".join(each["output"]) for each in ended] == greedy_answers
    together = (sum(each["started_at"] <= at["started_at"] < each["completed_at"] for each in ended) for at in ended)
    assert max(together) > 8
