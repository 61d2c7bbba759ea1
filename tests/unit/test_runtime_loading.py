"""How a model is found, what its setup() is given, and what its predict() is taken for."""

# ruff: noqa: ANN001, UP007, UP045  the functions here are written as people write models

import functools
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Optional, Union

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from pinion_runtime.failures import ModelError
from pinion_runtime.loading import Model, load, load_training
from pinion_runtime.signature import read_signature

given: list[Any] = []


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COG_WEIGHTS", raising=False)
    given.clear()
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def predict() -> str: ...


def weights_as(annotation: Any) -> Any:
    """What a setup() with this annotation is given."""

    class Predictor:
        def setup(self, weights): ...

    def setup(weights):
        given.append(weights)

    if annotation is not ...:
        setup.__annotations__["weights"] = annotation
    instance = Predictor()
    instance.setup = setup  # type: ignore[method-assign]
    Model(predict, instance).setup()
    return given[-1]


ANNOTATIONS = [..., Any, str, Optional[str], cog.Path, Optional[cog.Path], cog.Path | None, "cog.Path", cog.File]


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_without_weights_setup_is_given_none(annotation: Any):
    assert weights_as(annotation) is None


@pytest.mark.parametrize("annotation", [..., str, Optional[str], "str", Any, "NotThere"])
def test_weights_are_a_text_unless_setup_wants_a_file(annotation: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COG_WEIGHTS", "https://example.com/w.bin")
    assert weights_as(annotation) == "https://example.com/w.bin"


@pytest.mark.parametrize(
    "annotation", [cog.Path, Optional[cog.Path], Union[cog.Path, None], cog.Path | None, Path, "cog.Path"]
)
def test_weights_as_a_path_are_local_or_a_url_that_is_not_downloaded(annotation: Any, monkeypatch: pytest.MonkeyPatch):
    Path("weights").mkdir()
    assert weights_as(annotation) == cog.Path("weights")
    assert isinstance(given[-1], cog.Path)
    monkeypatch.setenv("COG_WEIGHTS", "https://example.com/w.bin")
    assert str(weights_as(annotation)) == "https://example.com/w.bin"


def test_weights_as_a_file_are_open(monkeypatch: pytest.MonkeyPatch):
    Path("weights").write_bytes(b"abc")
    with weights_as(cog.File) as file:
        assert file.read() == b"abc"
    monkeypatch.setenv("COG_WEIGHTS", "data:,remote")
    with weights_as(cog.File) as file:
        assert file.read() == b"remote"


def test_a_setup_that_asks_for_no_weights_is_given_none():
    class Predictor:
        def setup(self):
            given.append("set up")

    Model(predict, Predictor()).setup()
    assert given == ["set up"]


@pytest.mark.parametrize(
    ("code", "reference"),
    [
        ("class Predictor:\n def predict(self) -> str: return 'found'", "model.py:Predictor"),
        ("class Predictor:\n def predict(self) -> str: return 'found'", "model.py"),
        ("class Runner:\n def run(self) -> str: return 'found'\nclass Predictor: ...", "model.py"),
        (
            "class Own:\n def __init__(self): self.text = 'found'\n def run(self) -> str: return self.text",
            "model.py:Own",
        ),
        ("class Own:\n def predict(self) -> str: return 'found'\n def run(self): ...", "model.py:Own"),
        ("def infer() -> str: return 'found'", "model.py:infer"),
        (
            "import cog\nclass P(cog.BasePredictor):\n def predict(self) -> str: return 'found'\nclass Q(P): ...",
            "model.py:Q",
        ),
        ("from __future__ import annotations\ndef infer(**rest) -> str: return 'found'", "model.py:infer"),
    ],
)
def test_a_model_is_found(code: str, reference: str):
    Path("model.py").write_text(code + "\n")
    assert load(reference).predict() == "found"


def test_a_model_in_a_folder_is_found_and_can_be_pickled():
    import pickle

    Path("deep").mkdir()
    Path("deep/inner_model.py").write_text("class Predictor:\n def predict(self) -> str: return 'found'\n")
    model = load("deep/inner_model.py:Predictor")
    assert pickle.loads(pickle.dumps(model.predict.__self__)).predict() == "found"  # type: ignore[attr-defined]


def test_a_training_is_a_function_or_a_class():
    Path("trainer.py").write_text(
        "def train() -> str: return 'function'\nclass T:\n def train(self) -> str: return 'class'\n"
    )
    assert load_training("trainer.py").predict() == "function"
    assert load_training("trainer.py:T").predict() == "class"


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@traced
def plain(text: str) -> str: ...


@traced
def generates(text: str):
    yield text


@traced
async def awaits(text: str) -> str: ...


@traced
async def generates_async(text: str) -> AsyncIterator[str]:
    yield text


@pytest.mark.parametrize(
    ("function", "is_iterator", "is_async"),
    [(plain, False, False), (generates, True, False), (awaits, False, True), (generates_async, True, True)],
)
def test_a_decorator_does_not_hide_what_a_function_is(function: Any, is_iterator: bool, is_async: bool):
    signature = read_signature(function)
    assert (signature.is_iterator, signature.is_async) == (is_iterator, is_async)
    assert [parameter.name for parameter in signature.parameters] == ["text"]


def test_an_object_that_can_be_called_is_a_predict_function():
    class Answers:
        async def __call__(self, text: str) -> str:
            return text

    signature = read_signature(Answers())
    assert signature.is_async
    assert [parameter.name for parameter in signature.parameters] == ["text"]


def test_a_generator_that_says_it_is_a_list_yields_the_items_of_one():
    def generates() -> list[str]:
        yield "a"

    signature = read_signature(generates)
    assert (signature.is_iterator, signature.result) == (True, str)


def test_an_iterator_that_is_joined_can_only_hold_texts():
    def numbers() -> cog.ConcatenateIterator[int]: ...
    def bare() -> cog.ConcatenateIterator: ...

    with pytest.raises(ModelError, match=r"ConcatenateIterator can only yield str; for other items use Iterator\."):
        read_signature(numbers)
    assert read_signature(bare).result is str
