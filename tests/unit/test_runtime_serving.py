"""A cancel at the worst moments of a prediction: while a frame is being written, and when all is over."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter, read_frames
from pinion_runtime.loading import Model
from pinion_runtime.serving import Serving

heard: list[str] = []


def counts(to: int) -> Iterator[int]:
    try:
        yield from range(to)
    except cog.CancelationException:
        heard.append("canceled")
        raise


class CancelingWriter(FrameWriter):
    """Cancels the prediction "p1" at the moment in which a frame of the given type is written."""

    def __init__(self, descriptor: int, control: Control, kind: str) -> None:
        super().__init__(descriptor)
        self.control = control
        self.canceled = Prediction("p1", {"to": 3})
        self._kind = kind

    def write(self, line: str) -> None:
        if f'"type":"{self._kind}"' in line:
            self.canceled.is_cancel_requested = True
            self.control.interrupt(self.canceled)
        super().write(line)


@pytest.fixture(autouse=True)
def restored_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    heard.clear()
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Predictions make folders there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def frames_of(kind: str) -> list[dict[str, Any]]:
    """What is written about "p1", which is canceled at each frame of this type, and about "p2" after it."""
    read_end, write_end = os.pipe()
    control = Control()
    writer = CancelingWriter(write_end, control, kind)
    for prediction in (writer.canceled, Prediction("p2", {"to": 1}), None):
        control.inbox.put(prediction)
    Serving(Model(counts), control, writer).serve()
    writer.close()
    frames = list(read_frames(read_end))
    os.close(read_end)
    return frames


def summary(frames: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(frame["id"], frame["type"], frame.get("status", frame.get("value"))) for frame in frames]


def test_a_cancel_while_an_item_is_written_leaves_the_frame_whole_and_reaches_the_generator():
    assert summary(frames_of("output")) == [
        ("p1", "output", 0),
        ("p1", "done", "canceled"),
        ("p2", "output", 0),
        ("p2", "done", "succeeded"),
    ]
    assert heard == ["canceled"]


def test_a_cancel_while_the_end_is_written_comes_too_late_and_hits_nobody():
    assert summary(frames_of("done")) == [
        ("p1", "output", 0),
        ("p1", "output", 1),
        ("p1", "output", 2),
        ("p1", "done", "succeeded"),
        ("p2", "output", 0),
        ("p2", "done", "succeeded"),
    ]
    assert heard == []
