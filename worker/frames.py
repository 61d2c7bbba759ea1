"""The form of what is said to a model process and by it: the first frame, and lines put together from pieces.

What frames mean is known in `process`; they are listed in runtime/pinion_runtime/frames.py.
"""

from collections.abc import Iterator
from typing import Any

from worker.events import SetupFailed
from worker.manifest import Manifest

_LINE_BYTES_MAX = (4 * 32 + 1) << 20
"""The runtime lets out no output of more than 32 Mi characters, which may have four bytes each."""


class Lines:
    """Complete lines of a stream. One that gets too long is cut, and so is no frame any more."""

    def __init__(self, longest_bytes: int = _LINE_BYTES_MAX) -> None:
        self._longest_bytes = longest_bytes
        self._parts: list[bytes] = []
        self._held_bytes = 0
        self._is_closed = False

    def take(self, received: bytes) -> Iterator[bytes]:
        """Those that are complete with what has been received now, without their ends; until this is closed."""
        *ends, rest = received.split(b"\n")
        for end in ends:
            yield from self._line(end)
        self._parts.append(rest)
        self._held_bytes += len(rest)
        if self._held_bytes > self._longest_bytes:
            yield from self._line(b"")

    def close(self) -> None:
        """Nothing more is taken, not even what has been received already."""
        self._is_closed = True

    def _line(self, end: bytes) -> Iterator[bytes]:
        line = b"".join([*self._parts, end])
        self._parts, self._held_bytes = [], 0
        if not self._is_closed:
            yield line


def start_frame(manifest: Manifest, mode: str) -> dict[str, Any]:
    """SetupFailed when the model has nothing of that mode."""
    if mode == "train" and manifest.train is None:
        raise SetupFailed('cog.yaml names nothing to train, like `train: "train.py:train"`.')
    return {
        "type": "start",
        "mode": mode,
        "reference": manifest.reference,
        "train": manifest.train,
        "concurrency": manifest.concurrency,
    }
