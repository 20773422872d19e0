"""What a tensor takes at each stage of "Deep Compression" (Han et al., 2016): dense, pruned, clustered, entropy coded.

The first three are sizes of forms that nobody stores, computed as the paper does: zeros are left out and the others
found by gaps of a fixed number of bits; numbers of few values become indices of a fixed number of bits into a table.
The last is what `registry.coding_tensor` really makes of the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

import numpy as np

from registry.coding_tensor import Patterns, count_gaps, find_palette

GAP_BITS = range(2, 17)


@dataclass(frozen=True)
class StorageStages:
    """In bytes."""

    dense: int
    pruned: int
    clustered: int
    coded: int

    @property
    def ratios(self) -> tuple[float, float, float]:
        """How many times smaller than dense: pruned, clustered, coded."""
        return self.dense / self.pruned, self.dense / self.clustered, self.dense / self.coded


def measure_stages(numbers: Patterns, num_coded: int) -> StorageStages:
    """`numbers`: bit patterns, with zeros of all bits 0. A stage that would make the tensor larger is left out."""
    pruned = min(numbers.nbytes, sparse_bytes(numbers, numbers.itemsize * 8))
    return StorageStages(numbers.nbytes, pruned, min(pruned, clustered_bytes(numbers)), num_coded)


def add_stages(stages: Iterable[StorageStages]) -> StorageStages:
    return StorageStages(*(sum(column) for column in zip(*(astuple(each) for each in stages), strict=True)))


def sparse_bytes(numbers: Patterns, number_bits: int) -> int:
    """Gaps of the best fixed width before all numbers but the zeros, which take `number_bits` each."""
    positions = np.flatnonzero(numbers)
    gap_bits = min(count_gaps(positions, 2**bits - 1) * bits for bits in GAP_BITS)
    return to_bytes(gap_bits + positions.size * number_bits)


def clustered_bytes(numbers: Patterns) -> int:
    """A table of values, and indices with or without gaps; as many as the numbers themselves where values are many."""
    table, kept_table = find_palette(numbers), find_palette(numbers[numbers != 0])
    sizes = [numbers.nbytes]
    if table is not None:
        sizes.append(table.nbytes + to_bytes(numbers.size * index_bits(table.size)))
    if kept_table is not None:
        sizes.append(kept_table.nbytes + sparse_bytes(numbers, index_bits(kept_table.size)))
    return min(sizes)


def index_bits(num_values: int) -> int:
    return math.ceil(math.log2(num_values))


def to_bytes(num_bits: int) -> int:
    return -(-num_bits // 8)
