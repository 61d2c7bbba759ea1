"""Keys and values of what the rows of a batch have read, of one kind of attention in all layers of a model.

Rows in use are the first ones, without holes. The cache grows with them and with the longest; it knows no limit.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

# Growing copies everything, so it is done in steps: to twice the rows, and by as many positions.
_LENGTH = 64


class Cache:
    """A tensor (rows, heads, length, head size) for keys and one for values in each layer.

    What nothing was written to is zero: masked positions must be finite, or their attention weight of 0 makes NaN.
    """

    def __init__(self, layers: int, heads: int, head_size: int, like: Tensor) -> None:
        self._shape = (heads, head_size)
        self._like = like
        self._all_rows = torch.arange(0, device=like.device)
        self.moves = 0
        """How often its tensors were replaced by others. What was recorded over those before is void."""
        self.rows = 0
        """For how many there is room in all tensors, which differ if memory has run out meanwhile."""
        self.length = 0
        """For how many positions of a row."""
        self.keys = [self._zeros(0, 0) for _ in range(layers)]
        self.values = [self._zeros(0, 0) for _ in range(layers)]

    def bytes_of(self, rows: int, length: int) -> int:
        """What `reserve` may take for as much."""
        heads, head_size = self._shape
        position = 2 * len(self.keys) * heads * head_size * self._like.element_size()
        return _rows_for(rows) * _length_for(length) * position

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in (*self.keys, *self.values))

    def has_room(self, rows: int, length: int) -> bool:
        return rows <= self.rows and length <= self.length

    def reserve(self, rows: int, length: int) -> None:
        """Room for so many rows and positions; what is there is kept as far as it fits."""
        if not self.has_room(rows, length):
            self.fit(rows, length)

    def fit(self, rows: int, length: int) -> None:
        """The same, and no room for more."""
        rows, length = _rows_for(rows), _length_for(length)
        if (rows, length) == (self.rows, self.length):
            return
        all_rows = torch.arange(rows, device=self._like.device)
        self.moves += 1
        self.rows, self.length = min(rows, self.rows), min(length, self.length)  # if memory runs out meanwhile
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):  # one at a time, so that only one of them is there twice
                new = self._zeros(rows, length)
                kept = tuple(slice(min(was, now)) for was, now in zip(old.shape, new.shape, strict=True))
                new[kept] = old[kept]
                tensors[layer] = new
        self._all_rows, self.rows, self.length = all_rows, rows, length

    def fill(self, row: int, layers: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Rows from `row` on begin with these keys and values (rows, heads, length, head size), one pair a layer."""
        for layer, (keys, values) in enumerate(layers):
            rows, _, length, _ = keys.shape
            for tensor, new in ((self.keys[layer], keys), (self.values[layer], values)):
                tensor[row : row + rows, :, :length] = new
                tensor[row : row + rows, :, length:] = 0

    def write(self, layer: int, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """One position of each row: keys and values are (rows, heads, head size)."""
        rows = self._all_rows[: len(positions)]
        self.keys[layer][rows, :, positions] = keys
        self.values[layer][rows, :, positions] = values

    def read(self, layer: int, rows: int, length: int) -> tuple[Tensor, Tensor]:
        return self.keys[layer][:rows, :, :length], self.values[layer][:rows, :, :length]

    def move(self, source: int, target: int) -> None:
        for tensor in (*self.keys, *self.values):
            tensor[target] = tensor[source]

    def clear(self) -> None:
        """Gives the memory back."""
        self.moves += 1
        self.rows = self.length = 0
        for tensors in (self.keys, self.values):
            tensors[:] = [self._zeros(0, 0) for _ in tensors]

    def _zeros(self, rows: int, length: int) -> Tensor:
        heads, head_size = self._shape
        return self._like.new_zeros(rows, heads, length, head_size)


def _rows_for(rows: int) -> int:
    return 1 << (rows - 1).bit_length()


def _length_for(length: int) -> int:
    return -(-length // _LENGTH) * _LENGTH
