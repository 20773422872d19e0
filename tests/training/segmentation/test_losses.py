"""The loss of masks: beside a plain computation, and blind to what is ignored."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from training.data.annotation import IGNORED
from training.loss_config import SegmentationLoss
from training.segmentation.losses import MaskLoss

NUM_CLASSES = 3
CONFIGS = (
    SegmentationLoss(dice_weight=0.0),
    SegmentationLoss(dice_weight=1.0),
    SegmentationLoss(dice_weight=2.0, class_balance=0.5),
    SegmentationLoss(dice_weight=0.5, class_weights=(0.1, 1.0, 3.0)),
)


def draw(seed: int, ignored_share: float = 0.0) -> tuple[Tensor, Tensor]:
    """Random logits [2, C, 4, 5] and masks [2, 4, 5]."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, NUM_CLASSES, 4, 5, generator=generator)
    masks = torch.randint(0, NUM_CLASSES, (2, 4, 5), generator=generator, dtype=torch.uint8)
    masks[torch.rand(masks.shape, generator=generator) < ignored_share] = IGNORED
    return logits, masks


@pytest.mark.parametrize("config", CONFIGS)
@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(0, 1))
def test_ignored_pixels_have_no_part(config: SegmentationLoss, seed: int, ignored_share: float) -> None:
    logits, masks = draw(seed, ignored_share)
    ignored = (masks == IGNORED).unsqueeze(1)
    other = torch.where(ignored, 5 * logits.flip(1) + 1, logits).requires_grad_()
    loss, unmoved = MaskLoss(config, NUM_CLASSES), MaskLoss(config, NUM_CLASSES)
    changed = loss(other, masks)
    torch.testing.assert_close(unmoved(logits, masks), changed.detach())
    changed.backward()
    assert other.grad is not None
    assert torch.all(other.grad[ignored.expand_as(other)] == 0)
    assert torch.isfinite(other.grad).all()


def test_with_plain_weights_it_is_cross_entropy() -> None:
    logits, masks = draw(0, ignored_share=0.3)
    expected = functional.cross_entropy(logits, masks.long(), ignore_index=IGNORED)
    torch.testing.assert_close(MaskLoss(CONFIGS[0], NUM_CLASSES)(logits, masks), expected)


def test_class_weights_are_those_of_cross_entropy() -> None:
    logits, masks = draw(1, ignored_share=0.3)
    weights = torch.tensor([0.1, 1.0, 3.0])
    loss = MaskLoss(SegmentationLoss(dice_weight=0.0, class_weights=(0.1, 1.0, 3.0)), NUM_CLASSES)
    expected = functional.cross_entropy(logits, masks.long(), weights, ignore_index=IGNORED)
    torch.testing.assert_close(loss(logits, masks), expected)


def test_dice_counts_the_overlap_of_every_class_that_occurs() -> None:
    masks = torch.tensor([[[0, 0, 0, 1]]], dtype=torch.uint8)
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0], [0.2, 0.8, 0.0]])
    logits = (probabilities + 1e-12).log().T.reshape(1, 3, 1, 4)
    both = MaskLoss(SegmentationLoss(dice_weight=1.0), NUM_CLASSES)(logits, masks)
    alone = MaskLoss(SegmentationLoss(dice_weight=0.0), NUM_CLASSES)(logits, masks)
    dice = (2 * 2.4 / (2.6 + 3), 2 * 0.8 / (1.4 + 1))
    assert float(both - alone) == pytest.approx(1 - sum(dice) / 2, abs=1e-5)


def test_the_rarer_a_class_the_more_it_weighs() -> None:
    masks = torch.zeros(1, 10, 10, dtype=torch.uint8)
    masks[0, 0] = 1
    loss = MaskLoss(SegmentationLoss(dice_weight=0.0, class_balance=1.0), NUM_CLASSES)
    balanced = loss(torch.zeros(1, NUM_CLASSES, 10, 10), masks)
    assert float(balanced) == pytest.approx(torch.tensor(3.0).log().item())
    blind = torch.zeros(1, NUM_CLASSES, 10, 10)
    blind[:, 0] = 4.0
    # 90 pixels right and 10 wrong: with all classes equal, half of the loss is that of the ten.
    right, wrong = functional.cross_entropy(blind, torch.zeros(1, 10, 10).long()), torch.tensor(4.0)
    assert float(loss(blind, masks)) == pytest.approx(float(right + (right + wrong)) / 2, rel=1e-4)


def test_validation_does_not_move_the_weights() -> None:
    logits, masks = draw(2)
    loss = MaskLoss(SegmentationLoss(class_balance=0.5), NUM_CLASSES).eval()
    loss(logits, masks)
    assert loss.pixel_counts.sum() == 0
    loss.train()(logits, masks)
    assert loss.pixel_counts.sum() == masks.numel()


def test_a_batch_of_which_nothing_is_known_teaches_nothing() -> None:
    logits, _ = draw(3)
    masks = torch.full((2, 4, 5), IGNORED, dtype=torch.uint8)
    for config in CONFIGS:
        assert float(MaskLoss(config, NUM_CLASSES)(logits, masks)) == 0
