"""Masks in the pixels of the model's input, and back."""

from __future__ import annotations

from typing import Literal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.image import ImageSpec, place_image
from tasks.label_grid import original_grid
from tests.mask_source import mask_only
from training.data.annotation import IGNORED
from training.segmentation.targets import MaskTargets, place_mask

Fit = Literal["stretch", "letterbox", "crop"]
sides = st.integers(1, 40)


def test_what_a_letterbox_pads_is_ignored() -> None:
    spec = ImageSpec(height=8, width=8, fit="letterbox")
    placed = place_mask(np.ones((4, 8), np.uint8), place_image(4, 8, spec), spec)
    assert (placed[2:6] == 1).all()
    assert (placed[:2] == IGNORED).all()
    assert (placed[6:] == IGNORED).all()


def test_a_mask_of_the_input_s_size_stays_as_it_is() -> None:
    mask = np.arange(48, dtype=np.uint8).reshape(6, 8)
    spec = ImageSpec(height=6, width=8)
    np.testing.assert_array_equal(place_mask(mask, place_image(6, 8, spec), spec), mask)


def test_halving_takes_one_pixel_of_four() -> None:
    mask = np.kron(np.array([[1, 2], [3, 4]], np.uint8), np.ones((4, 4), np.uint8))
    spec = ImageSpec(height=4, width=4)
    placed = place_mask(mask, place_image(8, 8, spec), spec)
    np.testing.assert_array_equal(placed, np.kron([[1, 2], [3, 4]], np.ones((2, 2))))


@given(sides, sides, sides, sides, st.sampled_from(["stretch", "letterbox", "crop"]))
def test_a_picture_of_one_class_is_that_class_wherever_it_is_seen(
    height: int, width: int, input_height: int, input_width: int, fit: Fit
) -> None:
    spec = ImageSpec(height=input_height, width=input_width, fit=fit)
    placed = place_mask(np.full((height, width), 7, np.uint8), place_image(height, width, spec), spec)
    assert placed.shape == (input_height, input_width)
    assert set(np.unique(placed)) <= {7, IGNORED}
    assert fit == "letterbox" or (placed == 7).all()
    assert (placed == 7).any()


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31))
def test_enlarging_loses_nothing_on_the_way_there_and_back(height: int, width: int, factor: int, seed: int) -> None:
    spec = ImageSpec(height=height * factor, width=width * factor)
    mask = np.random.default_rng(seed).integers(0, 5, (height, width), np.uint8)
    placement = place_image(height, width, spec)
    back = original_grid(place_mask(mask, placement, spec), placement).pixels()
    np.testing.assert_array_equal(back, mask)


def test_masks_of_a_batch_are_stacked() -> None:
    spec = ImageSpec(height=4, width=4)
    codec = MaskTargets(spec)
    encoded = codec.encode(mask_only(np.ones((9, 7), np.uint8)), place_image(9, 7, spec))
    (masks,) = codec.collate([encoded, encoded])
    assert masks.shape == (2, 4, 4)
