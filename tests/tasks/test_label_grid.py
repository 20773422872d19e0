"""A mask over its original: nearest neighbour, pixel by pixel, and shares without touching every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.label_grid import NOT_SEEN, original_grid
from tasks.placement import ImageSpec, place_image
from tests.masks import masks

sides = st.integers(1, 40)


@given(masks(), sides, sides, st.sampled_from(["stretch", "letterbox", "crop"]))
def test_every_pixel_takes_the_label_under_its_centre(mask, height, width, fit):
    placement = place_image(height, width, ImageSpec(height=mask.shape[0], width=mask.shape[1], fit=fit))
    pixels = original_grid(mask, placement).pixels()
    expected = np.full((height, width), NOT_SEEN)
    for y in range(height):
        for x in range(width):
            column, row = np.floor(placement.to_input([x + 0.5, y + 0.5])).astype(int)
            if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]:
                expected[y, x] = mask[row, column]
    if (expected != NOT_SEEN).any():
        np.testing.assert_array_equal(pixels, expected)
    else:
        assert (pixels != NOT_SEEN).any()


@given(masks(), sides, sides, st.sampled_from(["stretch", "letterbox", "crop"]))
def test_shares_are_those_of_the_pixels(mask, height, width, fit):
    grid = original_grid(
        mask, place_image(height, width, ImageSpec(height=mask.shape[0], width=mask.shape[1], fit=fit))
    )
    counts = np.bincount(grid.pixels().ravel(), minlength=256)
    np.testing.assert_allclose(grid.shares(), counts / (height * width), atol=1e-12)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_where_nothing_is_cut_off_all_is_seen(fit):
    for height, width in ((7, 6000), (6000, 7), (1, 65_535), (3, 5)):
        grid = original_grid(
            np.zeros((32, 48), np.uint8), place_image(height, width, ImageSpec(height=32, width=48, fit=fit))
        )
        assert grid.shares()[0] == 1
        assert (grid.height, grid.width) == (height, width)


@pytest.mark.parametrize("num_pixels", range(1, 9))
def test_a_crop_narrower_than_a_pixel_sees_one_nevertheless(num_pixels):
    spec = ImageSpec(height=100, width=1, fit="crop")
    pixels = original_grid(np.full((100, 1), 3, np.uint8), place_image(1, num_pixels, spec)).pixels()
    assert sorted(pixels.ravel()) == [3] + [NOT_SEEN] * (num_pixels - 1)
    assert pixels[0, num_pixels // 2] == 3


def test_what_a_crop_cuts_off_is_not_seen():
    grid = original_grid(np.ones((10, 10), np.uint8), place_image(10, 30, ImageSpec(height=10, width=10, fit="crop")))
    expected = np.full((10, 30), NOT_SEEN)
    expected[:, 10:20] = 1
    np.testing.assert_array_equal(grid.pixels(), expected)
