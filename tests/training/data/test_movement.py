from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.annotation import IGNORED
from training.data.augment import BatchAugmenter
from training.data.movement import draw_movement
from training.recipe import AugmentConfig

HEIGHT, WIDTH = 40, 56
MOVES = AugmentConfig(rotate_degrees=10.0, scale=0.2, translate=0.1, shear=0.1, flip_horizontal=0.5)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rectangles(boxes: torch.Tensor) -> torch.Tensor:
    """White rectangles on black: uint8 [B, H, W, 3]."""
    pictures = torch.zeros(len(boxes), HEIGHT, WIDTH, 3, dtype=torch.uint8)
    for picture, (left, top, right, bottom) in zip(pictures, boxes.int().tolist(), strict=True):
        picture[top:bottom, left:right] = 255
    return pictures


@given(st.integers(0, 2**31), st.floats(0, 15), st.floats(0, 0.3), st.floats(0, 0.1), st.floats(0, 0.2), st.booleans())
@settings(max_examples=30, deadline=None)
def test_boxes_and_masks_go_where_their_pixels_go(
    seed: int, turn: float, scale: float, translate: float, shear: float, flip: bool
) -> None:
    config = AugmentConfig(
        rotate_degrees=turn, scale=scale, translate=translate, shear=shear, flip_horizontal=float(flip)
    )
    boxes = torch.tensor([[22.0, 14.0, 36.0, 26.0], [20.0, 16.0, 30.0, 22.0]])
    pictures = rectangles(boxes)
    pixels, moved = BatchAugmenter(config).augment_boxes(pictures, boxes.unsqueeze(1), generator(seed))
    same_pixels, masks = BatchAugmenter(config).augment_masks(pictures, pictures[..., 0] // 255, generator(seed))
    assert torch.equal(pixels, same_pixels)
    for picture, mask, (left, top, right, bottom) in zip(pixels, masks, moved[:, 0].tolist(), strict=True):
        rows, columns = torch.nonzero(picture[..., 0] > 127, as_tuple=True)
        # Interpolation and the turned corners, which no pixel fills, cost up to a pixel or two.
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert (torch.tensor([left, top, right, bottom]) - torch.tensor(seen)).abs().max() < 2.5
        on = (picture[..., 0] > 127) & (mask != IGNORED)
        assert ((mask == 1) & on).sum() >= 0.9 * on.sum()


def test_what_a_mask_had_nothing_to_show_for_is_ignored() -> None:
    masks = torch.full((8, HEIGHT, WIDTH), 3, dtype=torch.uint8)
    pictures = torch.zeros(8, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    _, moved = BatchAugmenter(AugmentConfig(translate=0.3)).augment_masks(pictures, masks, generator())
    assert set(moved.flatten().tolist()) == {3, IGNORED}
    still, ignored = torch.full((1, 4, 4), IGNORED, dtype=torch.uint8), torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    _, kept = BatchAugmenter(AugmentConfig(scale=0.01)).augment_masks(ignored, still, generator())
    assert torch.equal(kept, still)


def test_flipping_is_exact_and_its_own_inverse() -> None:
    boxes = torch.tensor([[[3.0, 4.0, 10.0, 12.0]]])
    picture = rectangles(boxes[0])
    augmenter = BatchAugmenter(AugmentConfig(flip_horizontal=1.0))
    pixels, moved = augmenter.augment_boxes(picture, boxes, generator())
    assert moved.tolist() == [[[WIDTH - 10.0, 4.0, WIDTH - 3.0, 12.0]]]
    assert torch.equal(pixels, rectangles(moved[0]).float())
    assert torch.equal(augmenter.augment_boxes(pixels, moved, generator())[1], boxes)


@pytest.mark.parametrize("config", [AugmentConfig(), AugmentConfig(invert=1.0)])
def test_nothing_moves_that_nobody_moved(config: AugmentConfig) -> None:
    boxes = torch.rand(3, 2, 4)
    picture = torch.zeros(3, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    assert torch.equal(BatchAugmenter(config).augment_boxes(picture, boxes, generator())[1], boxes)


def test_pictures_without_boxes_are_moved_all_the_same() -> None:
    movement = draw_movement(MOVES, torch.zeros(4, 1), generator())
    assert movement.move_boxes(torch.zeros(4, 0, 4), HEIGHT, WIDTH).shape == (4, 0, 4)
