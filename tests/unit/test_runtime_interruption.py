"""The window in which a cancel may interrupt, and the names a model may import."""

# ruff: noqa: UP045  the records here are written as people write models

import dataclasses
import importlib
import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pydantic
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from cog import plain_record
from cog.scope import Scope, running
from pinion_runtime.interruption import Cancelable, Interruption


@pytest.fixture
def window() -> Iterator[Interruption]:
    before = signal.getsignal(signal.SIGUSR1)
    yield Interruption()
    signal.signal(signal.SIGUSR1, before)


def test_a_request_interrupts_while_the_window_is_open(window: Interruption):
    prediction = Cancelable()
    window.open(prediction)
    with pytest.raises(cog.CancelationException):
        window.request(prediction)
    assert prediction.is_interrupted


def test_a_request_waits_while_the_window_is_closed(window: Interruption):
    prediction = Cancelable()
    window.open(prediction)
    window.close()
    window.request(prediction)
    assert not prediction.is_interrupted
    with pytest.raises(cog.CancelationException):
        window.open(prediction)


def test_a_request_for_one_never_interrupts_another(window: Interruption):
    """As when the signal of a cancel is handled only after the next prediction has begun."""
    over, next_one = Cancelable(), Cancelable()
    window.open(next_one)
    window.request(over)
    signal.raise_signal(signal.SIGUSR1)
    window.close()
    assert not over.is_interrupted
    assert not next_one.is_interrupted


def test_a_prediction_is_interrupted_only_once(window: Interruption):
    prediction = Cancelable()
    window.open(prediction)
    with pytest.raises(cog.CancelationException):
        window.request(prediction)
    window.request(prediction)
    window.open(prediction)
    window.close()


def test_our_own_code_inside_of_user_code_is_not_interrupted(window: Interruption):
    prediction = Cancelable()
    steps: list[str] = []

    def record() -> None:
        with window.held_off():
            window.request(prediction)
            steps.append("a whole frame")

    window.open(prediction)
    with pytest.raises(cog.CancelationException):
        record()
    assert steps == ["a whole frame"]


def test_another_thread_does_not_hold_off_the_main_one(window: Interruption):
    prediction = Cancelable()
    inside, go_on = threading.Event(), threading.Event()

    def record() -> None:
        with window.held_off():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=record)
    thread.start()
    inside.wait(10)
    window.open(prediction)
    with pytest.raises(cog.CancelationException):
        window.request(prediction)
    go_on.set()
    thread.join()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("cog", name) for name in cog.__all__),
        *(("cog.types", name) for name in ("Path", "Secret", "URLFile", "ConcatenateIterator")),
        ("cog.types", "ExperimentalFeatureWarning"),
        ("cog.files", "upload_file"),
        ("cog.json", "make_encodeable"),
        ("cog.predictor", "BasePredictor"),
        ("cog.exceptions", "CancelationException"),
        ("cog.server.exceptions", "CancelationException"),
        ("cog.server.scope", "current_scope"),
    ],
)
def test_a_model_may_import(module: str, name: str):
    assert hasattr(importlib.import_module(module), name)


def test_both_spellings_of_the_cancelation_are_one_and_no_exception():
    assert cog.CancelationException is cog.CancellationException
    assert not issubclass(cog.CancelationException, Exception)


def test_outside_of_a_prediction_the_scope_records_nothing():
    cog.current_scope().record_metric("tokens", 1)
    assert cog.current_scope().context == {}


def test_a_scope_hands_metrics_on_and_refuses_nonsense():
    heard = []
    token = running.set(Scope(lambda *metric: heard.append(metric)))
    scope = cog.current_scope()
    scope.record_metric("tokens", 1, mode="incr")
    scope.metrics["loss"] = 0.5
    del scope.metrics["loss"]
    with pytest.raises(ValueError, match="non-empty"):
        scope.record_metric("", 1)
    with pytest.raises(ValueError, match="replace, incr or append"):
        scope.record_metric("tokens", 1, mode="add")
    with pytest.raises(TypeError, match="'tokens' must be a bool, int"):
        scope.record_metric("tokens", object())
    running.reset(token)
    assert heard == [("tokens", 1, "incr"), ("loss", 0.5, "replace"), ("loss", None, "replace")]


@pytest.mark.parametrize("name", ["9lives", "a__b", "a.b.c.d.e", "x" * 129, "predict_time", "cog.mine", "ends_"])
def test_a_metric_of_an_unusual_name_is_recorded_with_a_warning(name: str):
    heard = []
    with pytest.warns(UserWarning, match="is no usual name for a metric"):
        Scope(lambda *metric: heard.append(metric)).record_metric(name, 1)
    assert heard == [(name, 1, "replace")]


def test_a_metric_stays_what_it_is_until_it_is_deleted():
    scope = Scope()
    scope.record_metric("step", 1)
    scope.record_metric("step", 1.5)
    with pytest.raises(TypeError, match="'step' was recorded as a number before"):
        scope.record_metric("step", "one")
    del scope.metrics["step"]
    scope.record_metric("step", "one")
    with pytest.raises(TypeError, match="'step' can only be increased by a number"):
        scope.record_metric("step", "two", mode="incr")
    scope.record_metric("losses", 0.5, mode="append")
    scope.record_metric("losses", 0.25, mode="append")


def test_the_helpers_of_older_models_make_plain_values_and_data_urls(tmp_path: Path):
    import cog.files
    import cog.json

    class Record(cog.BaseModel):
        name: str

    (tmp_path / "a.txt").write_text("hallo")
    plain = cog.json.make_encodeable(
        {"records": {Record("a").name: (Record("b"),)}, "file": cog.Path(tmp_path / "a.txt")}
    )
    assert cog.json.upload_files(plain, cog.files.upload_file) == {
        "records": {"a": [{"name": "b"}]},
        "file": "data:text/plain;base64,aGFsbG8=",
    }


def test_a_url_gives_a_file_its_name_within_bounds():
    long = "x" * 300
    assert cog.File.validate(f"https://example.com/{long}.tar.gz?a=b").name == f"{long}.tar.gz"
    assert cog.File.validate("https://example.com/a%2Fb%00c.txt").name == "a_b_c.txt"
    assert cog.File.validate("data:image/png;base64,").name == "file.png"
    assert cog.File.validate("https://example.com/").name == "file"


def test_a_path_from_a_url_is_its_url_until_it_is_converted():
    path = cog.Path.validate("data:,hallo")
    assert str(path) == "data:,hallo"
    assert str(pickle.loads(pickle.dumps(path))) == "data:,hallo"
    local = path.convert()
    assert local.read_text() == "hallo"
    local.unlink()
    file = pickle.loads(pickle.dumps(cog.File.validate("data:,hallo")))
    assert file.read() == b"hallo"
    file.close()


@pytest.mark.parametrize("base", [cog.BaseModel, plain_record.BaseModel])
def test_a_record_wants_its_fields(base: Any):
    class Record(base, auto_dataclass=True):
        name: str
        tags: list[str] = []  # noqa: RUF012  each record gets a copy
        marks: list[str] = dataclasses.field(default_factory=list)
        note: Optional[str]

    first, second = Record("a"), Record(name="a")
    assert first == second
    first.tags.append("b")
    assert repr(second) == "Record(name='a', tags=[], marks=[], note=None)"
    with pytest.raises((TypeError, pydantic.ValidationError), match="name"):
        Record()
    with pytest.raises(TypeError, match="takes 4 values, got 5"):
        Record("a", [], [], None, 1)
