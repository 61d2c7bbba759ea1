"""A model of the Hub becomes a folder with a fitting predictor, and the predictor answers as Transformers does."""

import importlib
import shutil
import sys
from numbers import Real
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
import yaml

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "runtime"))

from cli.failure import Failure  # noqa: E402
from cli.huggingface import folder_of  # noqa: E402
from tests.hub import (  # noqa: E402
    REVISION,
    TEMPLATE,
    Hub,
    byte_tokenizer,
    model_card,
    pooling,
    tiny_bert,
    tiny_berts,
    tiny_judge,
    tiny_llama,
    word_tokenizer,
)
from tests.model_processes import LIBRARIES_SECONDS, Start  # noqa: E402

pytest_plugins = ("tests.hub_fixtures",)


def greedy(model: Any, tokenizer: Any, prompt: str, count: int) -> str:
    inputs = tokenizer(prompt, return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=count, do_sample=False)[0]
    start = 0 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    return str(tokenizer.decode(written[start:], skip_special_tokens=True))


def test_a_decoder_only_model_continues_the_prompt_as_generate_does(hub: Hub, load: Any) -> None:
    tokenizer, model = byte_tokenizer(), tiny_llama()
    hub.add("ada/llama", model, tokenizer)
    loaded = load("hf:ada/llama")
    pieces = loaded.predict(prompt="the quick", max_new_tokens=24, temperature=0.0)
    assert "".join(pieces) == greedy(model, tokenizer, "the quick", 24)
    assert loaded.metrics["output_token_count"] <= 24
    assert loaded.metrics["input_token_count"] == len(tokenizer("the quick")["input_ids"])
    assert loaded.metrics["tokens_per_second"] > 0
    assert loaded.schema["Output"]["x-cog-array-display"] == "concatenate"


def test_a_seed_makes_sampling_repeatable(hub: Hub, load: Any) -> None:
    hub.add("ada/llama", tiny_llama(), byte_tokenizer())
    loaded = load("hf:ada/llama")
    first, again, other = [loaded.predict(prompt="fox", max_new_tokens=16, temperature=2.0, seed=n) for n in (1, 1, 2)]
    assert first == again != other


def test_a_prompt_that_does_not_fit_is_refused_and_one_that_just_fits_is_continued(hub: Hub, load: Any) -> None:
    hub.add("ada/llama", tiny_llama(positions=16), byte_tokenizer())
    loaded = load("hf:ada/llama")
    with pytest.raises(ValueError, match=r"has \d+ tokens; this model takes 15 at most"):
        loaded.predict(prompt="quick " * 20)
    loaded.predict(prompt="the", max_new_tokens=1000)
    with pytest.raises(ValueError, match="empty"):
        loaded.predict(prompt="")


def test_a_model_with_a_chat_template_is_told_who_speaks(hub: Hub, load: Any) -> None:
    tokenizer, model = byte_tokenizer(TEMPLATE), tiny_llama()
    hub.add("ada/chat", model, tokenizer)
    loaded = load("hf:ada/chat")
    assert set(loaded.schema["Input"]["properties"]) >= {"prompt", "system_prompt"}
    pieces = loaded.predict(prompt="fox", system_prompt="be lazy", max_new_tokens=8, temperature=0.0)
    assert "".join(pieces) == greedy(model, tokenizer, "<system>be lazy<user>fox<assistant>", 8)


def test_an_encoder_decoder_streams_the_bundled_models_answer(hub: Hub, load: Any) -> None:
    hub.add_tiny_t5("ada/t5")
    pieces = load("hf:ada/t5").predict(prompt="count: from 97 to 99")
    assert "".join(pieces) == "ninety-seven, ninety-eight, ninety-nine"
    assert len(pieces) > 1


@pytest.mark.parametrize("generation_config", [{}, {"no_repeat_ngram_size": 5}])
async def test_a_stream_that_is_closed_ends_its_work(hub: Hub, load: Any, generation_config: dict[str, int]) -> None:
    model = tiny_llama(positions=100_000)
    model.generation_config.update(**generation_config)
    hub.add("ada/llama", model, byte_tokenizer())
    predictor = load("hf:ada/llama").predictor
    stops: list[str] = []
    answer = predictor.predict("fox", 30_000, 1.0, 1.0, 0, 1.0, stops, 1)
    await anext(answer)
    await answer.aclose()  # to the end it would take minutes, which the next one would wait for
    assert [piece async for piece in predictor.predict("fox", 1, 1.0, 1.0, 0, 1.0, stops, 1)]


async def test_a_model_that_cannot_be_batched_runs_one_prediction_at_a_time_and_says_why(
    hub: Hub, start: Start, tmp_path: Path
) -> None:
    model = tiny_llama()
    hub.add("ada/llama", model, byte_tokenizer())
    model.generation_config.update(no_repeat_ngram_size=5)
    hub.add("ada/careful", model, byte_tokenizer())
    expected = {
        "llama": (32, ""),
        "careful": (1, "Predictions run one at a time: its generation_config asks for no_repeat_ngram_size.\n"),
    }
    for name, (concurrency, says) in expected.items():
        with folder_of(f"hf:ada/{name}") as folder:
            process = await start(shutil.copytree(folder, tmp_path / name), LIBRARIES_SECONDS)
        assert process.concurrency == concurrency
        assert says in process.setup_logs


def test_each_kind_of_encoder_answers_in_the_way_of_its_task(hub: Hub, load: Any) -> None:
    given: dict[str, dict[str, Any]] = {
        "text-classification": {"text": "the quick fox", "top_k": 2},
        "token-classification": {"text": "the quick fox"},
        "fill-mask": {"text": "the [MASK] fox"},
        "feature-extraction": {"texts": ["the fox", "Ada"]},
    }
    answers = {}
    for task, model in tiny_berts().items():
        hub.add(f"ada/{task}", model, word_tokenizer(), README__md=model_card(task))
        answers[task] = load(f"hf:ada/{task}").predict(**given[task])
    assert {entry["label"] for entry in answers["text-classification"]} == {"sad", "glad"}
    assert all(entity["entity_group"] == "PER" for entity in answers["token-classification"])
    assert len(answers["fill-mask"]) == 5
    vectors = torch.tensor(answers["feature-extraction"])
    assert vectors.shape == (2, 32)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)


WORDS = ("the", "quick", "fox", "Ada", "lazy", "dog")


def texts(count: int) -> list[str]:
    """Of all lengths."""
    random = Random(2)
    return [" ".join(random.choices(WORDS, k=random.randint(1, 12))) for _ in range(count)]


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("text-classification", [{"text": text, "top_k": 1 + len(text) % 2} for text in texts(12)]),
        ("token-classification", [{"text": text} for text in texts(12)]),
        ("fill-mask", [{"text": f"{text} [MASK]", "top_k": 3} for text in texts(12)]),
        ("feature-extraction", [{"texts": texts(count), "normalize": count % 2 == 0} for count in range(1, 9)]),
        (
            "zero-shot-classification",
            [{"text": text, "candidate_labels": ["glad", "sad", "dog"][: 2 + len(text) % 2]} for text in texts(8)],
        ),
    ],
)
def test_what_comes_together_is_answered_as_each_alone(
    hub: Hub, load: Any, task: str, given: list[dict[str, Any]]
) -> None:
    models = {**tiny_berts(), "zero-shot-classification": tiny_judge()}
    hub.add("ada/bert", models[task], word_tokenizer(), README__md=model_card(task))
    loaded = load("hf:ada/bert")
    passes: list[int] = []
    run = loaded.predictor.gathering._run

    def counted(contents: list[Any], common: Any) -> Any:
        passes.append(len(contents))
        return run(contents, common)

    loaded.predictor.gathering._run = counted
    together = loaded.predict_together(*given)
    assert max(passes) > 1
    assert len(passes) < sum(passes)
    for each, answer in zip(given, together, strict=True):
        assert_alike(answer, loaded.predict(**each))


def assert_alike(one: Any, other: Any) -> None:
    """But for rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        one, other = list(one.values()), list(other.values())
    if isinstance(one, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_alike(*pair)
    else:
        assert one == (pytest.approx(other, rel=1e-4, abs=1e-5) if isinstance(other, Real) else other)


def test_a_text_without_its_mask_is_refused(hub: Hub, load: Any) -> None:
    hub.add("ada/mask", tiny_berts()["fill-mask"], word_tokenizer())
    with pytest.raises(ValueError, match=r"must hold \[MASK\] exactly once"):
        load("hf:ada/mask").predict(text="no mask")


def test_sentence_vectors_are_pooled_as_their_authors_did(hub: Hub, load: Any) -> None:
    model, tokenizer = tiny_bert(), word_tokenizer()
    snapshot = hub.add("ada/sentences", model, tokenizer, modules__json="[]")
    (snapshot / "1_Pooling").mkdir()
    (snapshot / "1_Pooling" / "config.json").write_text(pooling(by_first_token=True))
    [vector] = load("hf:ada/sentences").predict(texts=["the fox"], normalize=False)
    first = model(**tokenizer("the fox", return_tensors="pt")).last_hidden_state[0, 0]
    assert torch.allclose(torch.tensor(vector), first, atol=1e-5)


def test_the_revision_is_pinned_in_the_folder(hub: Hub) -> None:
    hub.add_tiny_t5("ada/t5")
    with folder_of(f"hf:ada/t5@{REVISION}") as folder:
        assert REVISION in (folder / "source.json").read_text()
        assert yaml.safe_load((folder / "cog.yaml").read_text()) == {"predict": "predict.py:Predictor"}
        assert (folder / "weights" / "model.safetensors").is_file()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"model__safetensors": ""}, "has no config.json"),
        ({"config__json": "{}", "model__safetensors": ""}, "has no config.json"),
        ({"config__json": '{"a": 1}', "pytorch_model__bin": "x"}, "no weights as safetensors"),
        ({"config__json": '{"auto_map": {"A": "b.C"}}', "model__safetensors": ""}, "code of its own"),
        ({"config__json": '{"architectures": ["Strange"]}', "model__safetensors": ""}, "--task"),
        ({"config__json": '{"a": 1}', "model__safetensors": "", "README__md": model_card("robotics")}, "robotics"),
    ],
)
def test_what_cannot_be_served_safely_is_refused_with_a_sentence(hub: Hub, files: dict[str, str], says: str) -> None:
    hub.add("ada/odd", **files)
    with pytest.raises(Failure, match=says), folder_of("hf:ada/odd"):
        pass


@pytest.mark.parametrize(
    ("source", "says"),
    [("hf:nobody", "names no model of the Hub"), ("hf:ada/missing", "not in the local cache"), ("hf:a/../b", "names")],
)
def test_a_name_that_leads_nowhere_is_told(hub: Hub, source: str, says: str) -> None:
    with pytest.raises(Failure, match=says), folder_of(source):
        pass


def test_every_task_has_a_predictor_that_exists() -> None:
    from cli.huggingface import _PREDICTORS

    for place in _PREDICTORS.values():
        module, _, name = place.partition(".")
        assert callable(getattr(importlib.import_module(f"pinion_huggingface.{module}"), name).predict)
