"""A cancel at the worst moments of a prediction: while a frame is being written, and when all is over.

And what several say in one turn of the loop, which is written in one go.
"""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "runtime"))

import cog
from pinion_runtime.control import Control, Prediction
from pinion_runtime.frames import FrameWriter, read_frames
from pinion_runtime.loading import Model
from pinion_runtime.serving import Serving
from pinion_runtime.serving_async import AsyncServing

heard: list[str | int] = []


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

    def hold(self, line: str) -> bool:
        if f'"type":"{self._kind}"' in line and '"id":"p1"' in line:
            self.canceled.is_cancel_requested = True
            self.control.interrupt(self.canceled)
        return super().hold(line)


class CountingWriter(FrameWriter):
    """Knows what went to the system at a time."""

    def __init__(self) -> None:
        super().__init__(os.open(os.devnull, os.O_WRONLY))
        self.written: list[str] = []

    def _write(self, rest: memoryview) -> None:
        self.written.append(bytes(rest).decode())
        super()._write(rest)


class Steps:
    """Which two predictions take at the same time."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    async def next(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting.append(loop.create_future())
        if len(self._waiting) == 2:
            loop.call_soon(self._release)
        await self._waiting[-1]

    def _release(self) -> None:
        while self._waiting:
            self._waiting.pop(0).set_result(None)


async def counts_beside_another(to: int) -> AsyncIterator[int]:
    try:
        for number in range(to):
            yield number
    except asyncio.CancelledError:
        heard.append("canceled")
        raise


@pytest.fixture(autouse=True)
def restored_signal() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    heard.clear()
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def own_loop() -> Iterator[None]:
    """Of a process that is nothing but a model the loop is never closed."""
    yield
    asyncio.get_event_loop_policy().get_event_loop().close()
    asyncio.set_event_loop(None)


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


def test_what_several_say_in_a_turn_is_written_in_one_go_and_before_any_of_them_goes_on(own_loop: None):
    writer, control, steps = CountingWriter(), Control(), Steps()

    async def yields_and_looks(to: int) -> AsyncIterator[int]:
        for number in range(to):
            await steps.next()
            yield number
            heard.append("".join(writer.written).count(f'"value":{number}}}'))

    for prediction in (Prediction("p1", {"to": 3}), Prediction("p2", {"to": 3}), None):
        control.inbox.put(prediction)
    AsyncServing(Model(yields_and_looks), control, writer, 2).serve()
    outputs = [frames.count('"type":"output"') for frames in writer.written if '"type":"output"' in frames]
    assert outputs == [2, 2, 2]
    assert heard == [2] * 6
    writer.close()


def test_a_cancel_while_an_item_waits_to_be_written_with_others_reaches_the_generator(own_loop: None):
    read_end, write_end = os.pipe()
    control = Control()
    writer = CancelingWriter(write_end, control, "output")
    for prediction in (writer.canceled, Prediction("p2", {"to": 2}), None):
        control.inbox.put(prediction)
    AsyncServing(Model(counts_beside_another), control, writer, 2).serve()
    writer.close()
    frames = list(read_frames(read_end))
    os.close(read_end)
    assert [frame.get("value") for frame in frames if frame["id"] == "p1" and frame["type"] == "output"] == [0]
    ends = {frame["id"]: frame["status"] for frame in frames if frame["type"] == "done"}
    assert ends == {"p1": "canceled", "p2": "succeeded"}
    assert heard == ["canceled"]
