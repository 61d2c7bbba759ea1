"""Texts that end an answer and are left out of it.

They may lie across several pieces, so what may become one is held back.
"""

from collections.abc import Iterable


class Stops:
    """`passed` gives what can be shown by now, `rest` what was held back when nothing more will come."""

    def __init__(self, stops: Iterable[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.is_found = False

    def passed(self, piece: str) -> str:
        if self.is_found:
            return ""
        text = self._held + piece
        found = [text.index(stop) for stop in self._stops if stop in text]
        self.is_found = bool(found)
        end = min(found) if found else len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = "" if found else text[end:]
        return text[:end]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if stop.startswith(text[-size:])), 0)
