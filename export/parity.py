"""How far a variant's answers are from the trained model's, accumulated item by item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.task import Array


class Parity:
    """Differences of one output over all items, as the task measures them (`Task.differences`). Memory is that of one
    output, however many items there are."""

    def __init__(self) -> None:
        self.max = 0.0
        self._sum = 0.0
        self._num_items = 0
        self._is_index = False
        self._shift: NDArray[np.float64] = np.zeros(0)
        self._total: NDArray[np.float64] = np.zeros(0)
        self._total_squares: NDArray[np.float64] = np.zeros(0)

    def add(self, difference: float, output: Array) -> None:
        """One item: how far it is from the trained model's, and the output itself."""
        self.max = max(self.max, difference)
        self._sum += difference
        numbers = output.astype(np.float64)
        if self._num_items == 0:
            self._is_index = output.dtype.kind != "f"
            # Sums around the first item keep the variance of a large, nearly constant output exact.
            self._shift = numbers
            self._total, self._total_squares = np.zeros_like(numbers), np.zeros_like(numbers)
        centred = numbers - self._shift
        self._total += centred
        self._total_squares += centred**2
        self._num_items += 1

    @property
    def mean(self) -> float:
        return self._sum / max(1, self._num_items)

    @property
    def spread(self) -> float:
        """Standard deviation of the output between items (root mean square over its numbers). Of indices it would mean
        nothing: their differences are shares, and the spread is 1."""
        if self._is_index:
            return 1.0
        mean = self._total / max(1, self._num_items)
        variance = self._total_squares / max(1, self._num_items) - mean**2
        return float(np.sqrt(np.maximum(variance, 0).mean()))

    @property
    def relative(self) -> float:
        """The largest difference in units of `spread`: what a fixed limit can be set on for any model."""
        if self.max == 0:
            return 0.0
        return self.max / self.spread if self.spread > 0 else float("inf")
