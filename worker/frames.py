"""The form of what is said to a model process and by it: the first frame, and lines put together from pieces.

What frames mean is known in `process`; they are listed in runtime/pinion_runtime/frames.py.
"""

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

    def take(self, received: bytes) -> list[bytes]:
        """Those that are complete with what has been received now, without their ends."""
        *ends, rest = received.split(b"\n")
        lines = []
        for end in ends:
            lines.append(b"".join([*self._parts, end]))
            self._parts, self._held_bytes = [], 0
        self._parts.append(rest)
        self._held_bytes += len(rest)
        if self._held_bytes > self._longest_bytes:
            lines.append(b"".join(self._parts))
            self._parts, self._held_bytes = [], 0
        return lines


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
