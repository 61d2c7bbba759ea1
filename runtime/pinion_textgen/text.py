"""Tokens become text one by one, and the pieces together are what all tokens are decoded to.

A token alone knows neither the space before it nor the rest of its character, so what is shown is the difference
between two decodings of the newest few.
"""

from typing import Any

_INCOMPLETE = "\ufffd"


class Text:
    """The text of one sequence, without special tokens."""

    def __init__(self, tokenizer: Any) -> None:
        # Transformers' own decode() costs many times as much, every token anew.
        self._tokenizer = getattr(tokenizer, "backend_tokenizer", tokenizer)
        self._tokens: list[int] = []
        """The newest: those that were shown last, and those that were not yet."""
        self._shown = 0

    def add(self, token: int) -> str:
        """What can be shown by now; a character of which bytes are missing is held back."""
        self._tokens.append(token)
        before, now = self._decoded(self._tokens[: self._shown]), self._decoded(self._tokens)
        if len(now) <= len(before) or now.endswith(_INCOMPLETE):
            return ""
        self._tokens, self._shown = self._tokens[self._shown :], len(self._tokens) - self._shown
        return now[len(before) :]

    def rest(self) -> str:
        """What is still held back when nothing more will come."""
        before = self._decoded(self._tokens[: self._shown])
        return self._decoded(self._tokens)[len(before) :]

    def _decoded(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text
