"""How far a variant's numbers are from the trained model's, accumulated batch by batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.task import Array


class Parity:
    """Differences of one output over all examples. Memory is that of one output, however many examples there are."""

    def __init__(self) -> None:
        self.max_abs = 0.0
        self._sum_abs = 0.0
        self._num_numbers = 0
        self._num_examples = 0
        self._shift: NDArray[np.float64] = np.zeros(0)
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._sum_squares: NDArray[np.float64] = np.zeros(0)

    def add(self, reference: Array, variant: Array) -> None:
        """Both [batch, …]. A NaN or infinity on either side counts as an infinite difference."""
        expected, got = reference.astype(np.float64), variant.astype(np.float64)
        difference = np.abs(expected - got)
        difference[~np.isfinite(difference)] = np.inf
        self.max_abs = max(self.max_abs, float(difference.max()))
        self._sum_abs += float(difference.sum())
        self._num_numbers += difference.size
        if self._num_examples == 0:
            # Sums around the first example keep the variance of a large, nearly constant output exact.
            self._shift = expected[0]
            self._sum, self._sum_squares = np.zeros_like(self._shift), np.zeros_like(self._shift)
        centred = expected - self._shift
        self._sum += centred.sum(axis=0)
        self._sum_squares += (centred**2).sum(axis=0)
        self._num_examples += len(expected)

    @property
    def mean_abs(self) -> float:
        return self._sum_abs / max(1, self._num_numbers)

    @property
    def spread(self) -> float:
        """Standard deviation of the trained model's output between examples (root mean square over its numbers)."""
        mean = self._sum / max(1, self._num_examples)
        variance = self._sum_squares / max(1, self._num_examples) - mean**2
        return float(np.sqrt(np.maximum(variance, 0).mean()))

    @property
    def relative(self) -> float:
        """The largest difference in units of `spread`: what a fixed limit can be set on for any model."""
        if self.max_abs == 0:
            return 0.0
        return self.max_abs / self.spread if self.spread > 0 else float("inf")
