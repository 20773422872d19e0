from __future__ import annotations

import torch

from training.ema import blend


def test_early_steps_count_more_than_the_decay_says() -> None:
    average = torch.tensor([0.0])
    assert blend(average, torch.tensor([1.0]), 1, 0.999).item() > 0.5


def test_late_steps_follow_the_decay() -> None:
    assert torch.allclose(blend(torch.tensor([0.0]), torch.tensor([1.0]), 10**9, 0.99), torch.tensor([0.01]))


def test_counters_are_not_averaged() -> None:
    assert blend(torch.tensor(3), torch.tensor(9), 5, 0.9).item() == 9
