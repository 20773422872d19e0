"""The mask as a PNG that any reader opens: values are labels, colours those of PASCAL VOC."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tasks.label_grid import original_grid
from tasks.palette_png import PALETTE, encode_png
from tasks.placement import ImageSpec, place_image
from tests.masks import masks


@given(masks(), st.integers(1, 60), st.integers(1, 60), st.sampled_from(["stretch", "crop"]))
def test_a_reader_sees_the_labels(mask, height, width, fit):
    grid = original_grid(
        mask, place_image(height, width, ImageSpec(height=mask.shape[0], width=mask.shape[1], fit=fit))
    )
    with Image.open(io.BytesIO(encode_png(grid))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "P")
        np.testing.assert_array_equal(np.asarray(picture), grid.pixels())
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), PALETTE[grid.pixels()])


def test_colours_are_those_of_pascal_voc():
    published = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 8: (64, 0, 0)}
    published |= {15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}
    assert {label: tuple(PALETTE[label].tolist()) for label in published} == published
    assert len(np.unique(PALETTE, axis=0)) == 256
