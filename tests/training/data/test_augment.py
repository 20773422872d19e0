from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.augment import BatchAugmenter, mix_up
from training.recipe import AugmentConfig

EACH = {
    "rotate_degrees": 20.0,
    "scale": 0.3,
    "translate": 0.2,
    "shear": 0.2,
    "brightness": 0.3,
    "contrast": 0.5,
    "invert": 1.0,
    "flip_horizontal": 1.0,
    "erase": 0.5,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (6, 12, 10, 3), dtype=torch.uint8, generator=generator(1))


def test_no_change_asked_for_is_no_change() -> None:
    assert torch.equal(BatchAugmenter(AugmentConfig()).augment(pictures(), generator()), pictures().float())


@pytest.mark.parametrize("name", EACH)
def test_each_change_alters_pictures_repeatably_and_within_range(name: str) -> None:
    augmenter = BatchAugmenter(AugmentConfig(**{name: EACH[name]}))
    changed = augmenter.augment(pictures(), generator())
    assert changed.shape == pictures().shape
    assert not torch.equal(changed, pictures().float())
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert torch.equal(changed, augmenter.augment(pictures(), generator()))
    if name not in ("invert", "flip_horizontal"):
        assert not torch.equal(changed, augmenter.augment(pictures(), generator(2)))


def test_flip_and_invert_are_exact() -> None:
    flipped = BatchAugmenter(AugmentConfig(flip_horizontal=1.0)).augment(pictures(), generator())
    assert torch.equal(flipped, pictures().float().flip(2))
    inverted = BatchAugmenter(AugmentConfig(invert=1.0)).augment(pictures(), generator())
    assert torch.equal(inverted, 255 - pictures().float())


def test_moves_stay_within_their_bounds() -> None:
    picture = torch.zeros(64, 33, 33, 3, dtype=torch.uint8)
    picture[:, 16, 16] = 255
    moved = BatchAugmenter(AugmentConfig(translate=0.1)).augment(picture, generator())
    weights = moved.sum(dim=3)
    rows = (weights.sum(dim=2) * torch.arange(33)).sum(dim=1) / weights.sum(dim=(1, 2))
    assert (rows - 16).abs().max() <= 0.1 * 33 + 0.5
    assert (rows - 16).abs().max() > 1


@given(st.floats(0.05, 5.0), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_mixup_blends_pictures_and_targets_by_the_same_share(alpha: float, seed: int) -> None:
    # A picture whose every pixel is its target's index tells from its brightness what was mixed.
    targets = torch.arange(6)
    pixels = targets.float().view(-1, 1, 1, 1).expand(6, 2, 2, 3)
    shares = torch.nn.functional.one_hot(targets, 6).float()
    mixed, mixed_shares = mix_up(pixels, shares, alpha, generator(seed))
    assert torch.allclose(mixed_shares.sum(dim=1), torch.ones(6), atol=1e-5)
    assert torch.allclose(mixed[:, 0, 0, 0], mixed_shares @ targets.float(), atol=1e-4)
