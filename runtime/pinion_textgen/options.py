"""How an answer is chosen, in the words and with the defaults of Transformers' generate().

Every value is checked here, so that a bad one ends one request and never the batch it would have joined.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Raises ValueError for what cannot be carried out."""

    max_new_tokens: int
    min_new_tokens: int = 0
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    """Sample among this many likeliest tokens; 0 means all. generate() takes 50 where nothing is said."""
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    """Makes sampling repeatable, whatever else is in the batch; None draws one."""
    sequences: int = 1
    """Answers to the one prompt: num_return_sequences."""

    def __post_init__(self) -> None:
        _demand(self.max_new_tokens >= 1, f"max_new_tokens is {self.max_new_tokens}; it must be at least 1")
        _demand(
            0 <= self.min_new_tokens <= self.max_new_tokens,
            f"min_new_tokens is {self.min_new_tokens}; it must be from 0 to max_new_tokens ({self.max_new_tokens})",
        )
        for name in ("temperature", "repetition_penalty"):
            value = getattr(self, name)
            _demand(value > 0 and math.isfinite(value), f"{name} is {value}; it must be a number above 0")
        _demand(self.top_k >= 0, f"top_k is {self.top_k}; it must be at least 0")
        _demand(0 < self.top_p <= 1, f"top_p is {self.top_p}; it must be above 0 and at most 1")
        _demand(self.sequences >= 1, f"sequences is {self.sequences}; it must be at least 1")
        _demand(
            self.do_sample or self.sequences == 1,
            f"sequences is {self.sequences}, but without do_sample all of them would be the same",
        )


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(f"{otherwise}.")
