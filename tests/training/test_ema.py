from __future__ import annotations

import pytest
import torch

from training.ema import blend


@pytest.mark.parametrize(
    ("count", "decay", "expected"),
    [
        (1, 0.999, 1 - 2 / 11),  # early: the average must forget its random start
        (10**9, 0.99, 0.01),  # late: the decay that was asked for
    ],
)
def test_the_decay_grows_to_what_was_asked_for(count: int, decay: float, expected: float) -> None:
    average = [torch.tensor([0.0])]
    blend(average, [torch.tensor([1.0])], count, decay)
    assert average[0].item() == pytest.approx(expected)
