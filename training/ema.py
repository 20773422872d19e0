"""Exponential moving average of the weights: what is validated, kept and exported instead of the last step's."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage(WeightAveraging):  # type: ignore[misc]
    """Lightning's averaging with a decay that grows with the steps taken, min(decay, (1 + n) / (10 + n)).

    A constant decay would remember random weights for most of a short training.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(multi_avg_fn=lambda averages, currents, count: blend(averages, currents, count, decay))


def blend(averages: list[Tensor], currents: list[Tensor], count: Tensor | int, decay: float) -> None:
    """Moves the averages towards the current values, in place."""
    steps = float(count)
    update = get_ema_multi_avg_fn(min(decay, (1 + steps) / (10 + steps)))  # type: ignore[no-untyped-call]
    update(averages, currents, count)
