"""What all accounts have to share, and what one of them has of it.

What it is, and who waits for it, is not known here.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Pool:
    """So much there is in all."""

    size: int
    taken: int = 0


@dataclass(slots=True)
class Share:
    """An account may have as much as is left: alone half of all, beside another that wants much a third each.

    So there is always something left for whoever comes next, however many come and however much they want.
    """

    pool: Pool
    taken: int = 0

    @property
    def is_full(self) -> bool:
        return self.taken >= self.pool.size - self.pool.taken

    def take(self) -> None:
        self.taken += 1
        self.pool.taken += 1

    def give_back(self) -> None:
        self.taken -= 1
        self.pool.taken -= 1
