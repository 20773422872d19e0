"""Run lengths: the exact strings of the COCO tools, and back."""

from __future__ import annotations

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.label_grid import NOT_SEEN, original_grid, plain_grid
from tasks.placement import ImageSpec, place_image
from tasks.rle import Rle, decode_labels, decode_rle, encode_labels, pack_counts, unpack_counts
from tests.masks import masks


def coco_string(region):
    counts = coco.encode(np.asfortranarray(region.astype(np.uint8)))["counts"]
    return counts if isinstance(counts, str) else counts.decode()


@given(masks(), st.integers(1, 50), st.integers(1, 50), st.sampled_from(["stretch", "letterbox", "crop"]))
def test_the_strings_are_those_of_the_coco_tools(mask, height, width, fit):
    spec = ImageSpec(height=mask.shape[0], width=mask.shape[1], fit=fit)
    grid = original_grid(mask, place_image(height, width, spec))
    pixels, encoded = grid.pixels(), encode_labels(grid)
    assert list(encoded) == [label for label in np.unique(pixels).tolist() if label != NOT_SEEN]
    for label, rle in encoded.items():
        assert rle == Rle((height, width), coco_string(pixels == label))
        np.testing.assert_array_equal(decode_rle(rle), pixels == label)
    if encoded:
        np.testing.assert_array_equal(decode_labels(encoded), pixels)


def test_runs_of_any_length_survive():
    # Lengths around every power of 32, where one more character is needed, and both signs of their differences.
    lengths = [2**power + step for power in range(31) for step in (-1, 0, 1)]
    counts = np.array([*lengths, *lengths[::-1], 0, 2**30, 1, 0, 5], np.int64)
    np.testing.assert_array_equal(unpack_counts(pack_counts([counts])[0]), counts)


def test_long_runs_are_written_as_the_coco_tools_write_them():
    region = np.zeros((3000, 1200), bool)
    region[17:2900, 400:1100] = region[5, 3] = region[-1, -1] = True
    rle = encode_labels(plain_grid(region.astype(np.uint8)))[1]
    assert rle.counts == coco_string(region)
    np.testing.assert_array_equal(decode_rle(rle), region)


@given(st.text(max_size=12), st.integers(0, 6), st.integers(0, 6))
def test_text_is_decoded_to_its_size_or_refused(text, height, width):
    try:
        assert decode_rle(Rle((height, width), text)).shape == (height, width)
    except BadInput as error:
        assert "run length" in str(error)  # noqa: PT017


@given(masks(), st.data())
def test_damaged_counts_are_refused_or_fill_the_picture(mask, data):
    rle = encode_labels(plain_grid(mask))[int(mask[0, 0])]
    at = data.draw(st.integers(0, len(rle.counts) - 1))
    damaged = rle.counts[:at] + chr(data.draw(st.integers(32, 126))) + rle.counts[at + 1 :]
    try:
        assert decode_rle(Rle(rle.size, damaged)).shape == mask.shape
    except BadInput as error:
        assert "run length" in str(error)  # noqa: PT017


def test_regions_that_can_not_be_of_one_picture_are_refused():
    left, right = np.zeros((2, 4, 6), np.uint8)
    left[:, :4], right[:, 3:] = 1, 1
    regions = {label: encode_labels(plain_grid(mask))[1] for label, mask in ((1, left), (2, right))}
    with pytest.raises(BadInput, match="overlap"):
        decode_labels(regions)
    with pytest.raises(BadInput, match="one size"):
        decode_labels({1: regions[1], 2: encode_labels(plain_grid(left[:3]))[1]})
