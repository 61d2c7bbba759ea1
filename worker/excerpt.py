"""The logs of one prediction within bounds: their beginning as it comes, their end when all is over.

Where they come from and who keeps them is not known here.
"""

from collections import deque

KEPT_CHARACTERS = 1 << 20
"""Of the beginning, and as much again of the end."""


class Excerpt:
    def __init__(self, kept_characters: int = KEPT_CHARACTERS) -> None:
        self._kept = kept_characters
        self._room = kept_characters  # what may still be shown at once
        self._end: deque[str] = deque()
        self._held = 0
        self._left_out = 0

    def take(self, text: str) -> str:
        """What of the text is to be shown now."""
        shown, held = text[: self._room], text[self._room :]
        self._room -= len(shown)
        if held:
            self._hold(held)
        return shown

    def rest(self) -> str:
        """What was held back: how much had to be left out, and the end."""
        end = "".join(self._end)
        self._end.clear()
        if not self._left_out:
            return end
        return f"\n[… {self._left_out:,} characters of the logs left out …]\n{end}"

    def _hold(self, text: str) -> None:
        self._end.append(text)
        self._held += len(text)
        while self._held > self._kept:
            oldest = self._end.popleft()
            surplus = min(len(oldest), self._held - self._kept)
            if surplus < len(oldest):
                self._end.appendleft(oldest[surplus:])
            self._held -= surplus
            self._left_out += surplus
