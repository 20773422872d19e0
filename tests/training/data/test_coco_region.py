from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from tasks.errors import BadInput
from training.data.annotation import IGNORED
from training.data.box import Box
from training.data.coco_region import PaintedRegion, Region, Runs, check_region, paint_regions, rasterise_region

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))
HEIGHT, WIDTH = 6, 8
SQUARE = [2.0, 1.0, 5.0, 1.0, 5.0, 4.0, 2.0, 4.0]


def runs_of(mask: np.ndarray) -> list[int]:
    """Lengths outside, inside, … down the columns, counted one pixel at a time."""
    lengths, inside = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != inside:
            lengths.append(0)
            inside = pixel
        lengths[-1] += 1
    return lengths


def compressed(mask: np.ndarray) -> str:
    from faster_coco_eval.core import mask as coco_mask

    counts = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    return counts.decode() if isinstance(counts, bytes) else counts


@given(MASKS)
@settings(deadline=None)
def test_run_lengths_of_either_form_are_their_pixels(mask: np.ndarray) -> None:
    height, width = mask.shape
    for counts in (runs_of(mask), compressed(mask)):
        region = Runs((height, width), counts)
        check_region(region, height, width)
        assert np.array_equal(rasterise_region(region, height, width), mask)


def test_a_polygon_is_the_pixels_inside_it_and_several_are_one_region() -> None:
    expected = np.zeros((HEIGHT, WIDTH), np.bool_)
    expected[1:4, 2:5] = True
    assert np.array_equal(rasterise_region([SQUARE], HEIGHT, WIDTH), expected)
    expected[5, 6:8] = True
    two = [SQUARE, [6.0, 5.0, 8.0, 5.0, 8.0, 6.0, 6.0, 6.0]]
    assert np.array_equal(rasterise_region(two, HEIGHT, WIDTH), expected)


def test_a_corner_a_hair_outside_is_moved_to_the_edge() -> None:
    region: Region = [[-0.6, -0.4, 8.7, -0.4, 8.7, 6.3, -0.6, 6.3]]
    check_region(region, HEIGHT, WIDTH)
    assert rasterise_region(region, HEIGHT, WIDTH).all()


@pytest.mark.parametrize(
    ("region", "complaint"),
    [
        ([[1.0, 1.0, 2.0, 2.0]], "4 numbers"),
        ([[1.0, 1.0, 2.0, 2.0, 3.0]], "5 numbers"),
        ([[1.0, 1.0, 20.0, 2.0, 3.0, 3.0]], "leaves the picture of 8×6 pixels by 12"),
        ([[1.0, 1.0, float("nan"), 2.0, 3.0, 3.0]], "leaves the picture"),
        (Runs((HEIGHT, WIDTH + 1), [54]), r"\[6, 9\].*\[6, 8\]"),
        (Runs((HEIGHT, WIDTH), [47]), "do not add up"),
        (Runs((HEIGHT, WIDTH), [50, -2]), "negative"),
        (Runs((HEIGHT, WIDTH), [2**70]), "longer"),
        (Runs((HEIGHT, WIDTH), []), "none at all"),
        (Runs((HEIGHT, WIDTH), "not RLE"), "not compressed run lengths|add up"),
    ],
)
def test_what_cannot_be_a_region_is_refused(region: Region, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        check_region(region, HEIGHT, WIDTH)


@given(st.text(max_size=12) | st.lists(st.integers(-5, 60), max_size=6))
def test_no_run_lengths_do_more_than_be_refused(counts: str | list[int]) -> None:
    region = Runs((HEIGHT, WIDTH), counts)
    try:
        check_region(region, HEIGHT, WIDTH)
    except BadInput:
        return
    assert rasterise_region(region, HEIGHT, WIDTH).shape == (HEIGHT, WIDTH)


def test_smaller_objects_are_painted_over_larger_ones_and_both_over_what_is_ignored() -> None:
    whole = [[0.0, 0.0, 8.0, 0.0, 8.0, 6.0, 0.0, 6.0]]
    crowd = PaintedRegion(IGNORED, Runs((HEIGHT, WIDTH), [0, 24, 24]), Box(0, 0, 4, 6))
    boxed = PaintedRegion(IGNORED, None, Box(6.5, 4.5, 8, 6))
    square = PaintedRegion(2, [SQUARE], Box(2, 1, 5, 4))
    mask = paint_regions([square, crowd, boxed], HEIGHT, WIDTH)
    pixels = np.asarray(Image.open(io.BytesIO(mask)))
    assert (pixels[1:4, 2:5] == 2).all()
    assert (pixels[0, :4] == IGNORED).all()
    assert (pixels[4:, 6:] == IGNORED).all()
    assert pixels[0, 4] == 0
    large = paint_regions([square, PaintedRegion(7, whole, Box(0, 0, 8, 6))], HEIGHT, WIDTH)
    assert set(np.unique(np.asarray(Image.open(io.BytesIO(large))))) == {2, 7}
