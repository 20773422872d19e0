"""Exponential moving average of the weights: what is validated, kept and exported instead of the last step's."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class WeightAverage(WeightAveraging):  # type: ignore[misc]
    """Lightning's averaging with a decay that grows with the steps taken, min(decay, (1 + n) / (10 + n)).

    A constant decay would remember random weights for most of a short training.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(avg_fn=lambda average, current, count: blend(average, current, count, decay))


def blend(average: Tensor, current: Tensor, count: Tensor | int, decay: float) -> Tensor:
    """The next average; counters (of batches seen) are not averaged."""
    if not average.is_floating_point():
        return current
    steps = float(count)
    return average.lerp(current, 1 - min(decay, (1 + steps) / (10 + steps)))
