"""Memory that runs out while a cache grows costs whoever wanted it, and nobody else what was written."""

import pytest
import torch

from tests.text_models import DEVICE, run  # first: it finds the runtime  # noqa: F401

from pinion_textgen.cache import Cache  # isort: skip


class Scarce(Cache):
    """As if there were memory for so many more tensors."""

    left = 1000

    def _zeros(self, rows: int, length: int) -> torch.Tensor:
        if rows:
            self.left -= 1
        if self.left < 0:
            raise MemoryError("no more")
        return super()._zeros(rows, length)


@pytest.mark.parametrize("left", range(6))
def test_a_cache_that_could_not_grow_keeps_what_it_has_and_grows_later(left: int) -> None:
    layers = 3
    cache = Scarce(layers, heads=2, head_size=4, like=torch.zeros(1, device=DEVICE))
    cache.reserve(1, 60)
    written = torch.randn(1, 2, 4, device=DEVICE)
    at = torch.tensor([59], device=DEVICE)
    for layer in range(layers):
        cache.write(layer, at, written, -written)
    cache.left = left
    with pytest.raises(MemoryError):
        cache.reserve(5, 100)
    cache.left = 1000
    for rows, length in ((1, 60), (5, 100)):
        cache.reserve(rows, length)
        for layer in range(layers):
            keys, values = cache.read(layer, rows, length)
            assert keys.shape == values.shape == (rows, 2, length, 4)
            assert torch.equal(keys[:1, :, 59], written)
            assert torch.equal(values[:1, :, 59], -written)
            assert keys[1:].count_nonzero() == 0


@pytest.mark.parametrize("left", range(6))
def test_a_cache_that_could_not_grow_for_fewer_rows_has_room_again_for_as_many_as_before(left: int) -> None:
    layers, rows, length = 3, 8, 60
    cache = Scarce(layers, heads=2, head_size=4, like=torch.zeros(1, device=DEVICE))
    cache.reserve(rows, length)
    cache.left = left
    with pytest.raises(MemoryError):
        cache.reserve(1, 100)
    cache.left = 1000
    cache.reserve(rows, length)
    written = torch.randn(rows, 2, 4, device=DEVICE)
    at = torch.arange(rows, device=DEVICE)
    for layer in range(layers):
        cache.write(layer, at, written, -written)
        keys, values = cache.read(layer, rows, length)
        assert torch.equal(keys[at, :, at], written)
        assert torch.equal(values[at, :, at], -written)
