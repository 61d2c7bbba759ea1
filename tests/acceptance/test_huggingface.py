"""`pinion push hf:…` as a person types it: a model from the local cache of the Hub is served without further ado."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from tests.hub import PROJECT, REVISION, Hub
from tests.instance import Api, Instance, on_one_backend

NAME = "pinion/from-the-hub"
WEIGHTS = PROJECT / "examples" / "tiny-t5" / "weights"
pytestmark = on_one_backend


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    hub = Hub(tmp_path / "hub")
    hub.add_tiny_t5("ada/tiny-t5")
    return hub


def test_a_model_is_pushed_by_its_name_and_streams(instance: Instance, api: Api, hub: Hub):
    pushed = instance.command("push", f"hf:ada/tiny-t5@{REVISION}", NAME, **hub.environment)
    assert pushed.returncode == 0, pushed.stderr
    version = pushed.stdout.splitlines()[0]
    done = api.create(version, wait=True, prompt="spell: 4217")
    assert "".join(done["output"]) == "four thousand two hundred seventeen"
    assert done["metrics"]["output_token_count"] == 8  # the seven of the bundled model's stream, and the end
    assert done["metrics"]["tokens_per_second"] > 0


def test_predictions_at_the_same_time_share_a_batch_and_each_gets_its_own_answer(
    instance: Instance, api: Api, hub: Hub
):
    pushed = instance.command("push", f"hf:ada/tiny-t5@{REVISION}", NAME, **hub.environment)
    version = pushed.stdout.splitlines()[0]
    api.create(version, wait=True, prompt="spell: 1")  # the model is up
    prompts = [f"count: from {start} to {start + 4}" for start in range(100, 164)]
    with ThreadPoolExecutor(len(prompts)) as clients:
        done = list(clients.map(lambda prompt: api.create(version, wait=True, prompt=prompt), prompts))
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS, local_files_only=True)
    model = T5ForConditionalGeneration.from_pretrained(WEIGHTS, dtype=torch.float32, local_files_only=True).eval()
    for prompt, prediction in zip(prompts, done, strict=True):
        alone = model.generate(**tokenizer(prompt, return_tensors="pt"), max_new_tokens=256)[0]
        assert "".join(prediction["output"]) == tokenizer.decode(alone, skip_special_tokens=True)
    begun = [prediction["started_at"] for prediction in done]
    assert max(sum(each["started_at"] <= at < each["completed_at"] for each in done) for at in begun) > 8


def test_a_model_that_is_nowhere_is_told_in_one_sentence(instance: Instance, hub: Hub):
    pushed = instance.command("push", "hf:ada/missing", NAME, **hub.environment)
    assert pushed.returncode == 1
    assert "ada/missing is not in the local cache" in pushed.stderr
