"""Routes what Python code prints to the prediction that printed it, when several run at once.

What belongs to no prediction stays in the pipe that logs.py speaks of, and so does what C code and child processes
print.
"""

from __future__ import annotations

import codecs
import io
import sys
import threading
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Callable, ContextManager

from pinion_runtime.frames import FrameWriter, compose

_FRAME_CHARACTERS = 1 << 16
"""A frame is read as a whole, so a large text must not be one."""


class Printed:
    """What a prediction printed and has not yet been sent; whole lines are sent at once. Without an id: of none."""

    def __init__(
        self,
        writer: FrameWriter,
        prediction_id: str | None,
        held_off: Callable[[], ContextManager[None]] = nullcontext,
    ) -> None:
        """Within `held_off` nothing may interrupt the thread."""
        self._writer = writer
        self._id = prediction_id
        self._held_off = held_off
        self._lock = threading.RLock()  # a finalizer may print while we are in here
        self._waiting = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._is_over = False

    def take(self, printed: bytes) -> bool:
        """False when nobody hears it here any more: after the end, and in a forked copy."""
        with self._held_off(), self._lock:
            if self._is_over or self._writer.is_closed:
                return False
            self._waiting += printed
            if b"\n" in printed or b"\r" in printed or len(self._waiting) >= _FRAME_CHARACTERS:
                self.flush()
            return True

    def flush(self, *, is_end: bool = False) -> None:
        with self._held_off(), self._lock:
            waiting, self._waiting = bytes(self._waiting), bytearray()
            text = self._decoder.decode(waiting, is_end)
            for begin in range(0, len(text), _FRAME_CHARACTERS):
                self._writer.write(compose("log", {"id": self._id, "text": text[begin : begin + _FRAME_CHARACTERS]}))

    def end(self) -> None:
        with self._lock:
            self.flush(is_end=True)
            self._is_over = True


printing: ContextVar[Printed] = ContextVar("printing")


def install() -> None:
    """Before the model is imported, because its loggers keep the stream they find then.

    As Python does, we keep a second reference: a model that wraps sys.stdout.buffer anew drops the first one, and a
    stream that nobody holds closes what is beneath it.
    """
    sys.__stdout__ = sys.stdout = _routed(sys.stdout)  # type: ignore[misc]
    sys.__stderr__ = sys.stderr = _routed(sys.stderr)  # type: ignore[misc]


def _routed(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    raw: Any = _Routed(stream)
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)


class _Routed(io.RawIOBase):
    """The file beneath sys.stdout or sys.stderr; without a state of its own, a cancel in its midst harms nothing."""

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream  # held for the same reason
        self._through = stream.buffer
        self.name = stream.name
        self.mode = "wb"

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._through.fileno()

    def write(self, data: Any) -> int:
        printed = bytes(data)
        owner = printing.get(None)
        if owner is None or not owner.take(printed):
            self._through.write(printed)
            if b"\n" in printed or b"\r" in printed:
                self._through.flush()
        return len(printed)

    def flush(self) -> None:
        owner = printing.get(None)
        if owner is not None:
            owner.flush()
        self._through.flush()
