"""The tasks of the bundled tiny T5 and the weights that are shipped with it."""

import datetime
import importlib.util
import sys
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tiny-t5"


def load(name: str) -> ModuleType:
    """By path and under a name of its own: `tasks` is no name to leave lying in sys.modules."""
    spec = importlib.util.spec_from_file_location(f"tiny_t5_{name}", EXAMPLE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


tasks: Any = load("tasks")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (42, "forty-two"),
        (101, "one hundred one"),
        (4217, "four thousand two hundred seventeen"),
        (10_000, "ten thousand"),
        (100_001, "one hundred thousand one"),
        (999_999, "nine hundred ninety-nine thousand nine hundred ninety-nine"),
    ],
)
def test_a_number_is_spelled_the_american_way(number: int, words: str) -> None:
    assert tasks.spell(number) == words


def test_counting_passes_a_hundred() -> None:
    assert tasks.count(99, 101) == "ninety-nine, one hundred, one hundred one"


@pytest.mark.parametrize(
    "text",
    [
        "March 3, 2024",
        "3rd of March 2024",
        "the 3rd of March, 2024",
        "Sunday, Mar 3 2024",
        "2024 March 3",
        "2024/03/03",
    ],
)
def test_a_date_is_written_in_many_ways(text: str) -> None:
    assert text in tasks.spellings(datetime.date(2024, 3, 3))


def test_an_ambiguous_spelling_of_a_date_is_never_asked() -> None:
    assert "03/03/2024" not in tasks.spellings(datetime.date(2024, 3, 3))


@pytest.mark.parametrize(
    ("day", "text"), [(1, "1st"), (2, "2nd"), (11, "11th"), (12, "12th"), (22, "22nd"), (30, "30th")]
)
def test_a_day_gets_its_english_ending(day: int, text: str) -> None:
    assert tasks.ordinal(day) == text


def test_the_held_out_examples_are_the_same_every_time() -> None:
    first, again = (tasks.held_out_examples(tasks.TASKS["date"], 20, seed=3) for _ in range(2))
    assert first == again


def test_training_never_sees_a_held_out_example() -> None:
    rng = Random(0)
    seen = {tasks.training_example(rng).key for _ in range(5000)}
    held_out = {example.key for task in tasks.TASKS.values() for example in tasks.held_out_examples(task, 300, seed=0)}
    assert not seen & held_out


def test_building_blocks_are_always_in_training() -> None:
    blocks = [tasks.Example(f"spell: {n}", tasks.spell(n), f"spell {n}", is_building_block=n < 100) for n in range(100)]
    assert not any(tasks.is_held_out(tasks.TASKS["spell"], block) for block in blocks)


def test_the_shipped_weights_answer_held_out_prompts_exactly() -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    tokenizer = transformers.AutoTokenizer.from_pretrained(EXAMPLE / "weights", local_files_only=True)
    model = transformers.T5ForConditionalGeneration.from_pretrained(
        EXAMPLE / "weights", dtype=torch.float32, local_files_only=True
    )
    examples = [example for task in tasks.TASKS.values() for example in tasks.held_out_examples(task, 3, seed=7)]
    inputs = tokenizer([example.prompt for example in examples], padding=True, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=192, do_sample=False)
    assert tokenizer.batch_decode(tokens, skip_special_tokens=True) == [example.answer for example in examples]
