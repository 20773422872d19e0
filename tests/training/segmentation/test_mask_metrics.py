"""Agreement of masks, on masks small enough to be counted by hand and beside a plain reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from training.data.annotation import IGNORED
from training.segmentation.mask_metrics import (
    MaskMetrics,
    boundary_tolerance,
    count_near,
    count_pixels,
    disc,
    trace_outlines,
)

NUM_CLASSES = 3
Mask = NDArray[np.uint8]

cells = st.sampled_from([0, 1, 2, IGNORED])
shapes = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)
mask_pairs = shapes.flatmap(
    lambda s: st.tuples(arrays(np.uint8, s, elements=cells), arrays(np.uint8, s, elements=cells))
)


def square(top: int, left: int, side: int = 8, class_id: int = 1) -> Mask:
    """A class on a background of 0, in a picture of 32 × 32."""
    mask = np.zeros((32, 32), np.uint8)
    mask[top : top + side, left : left + side] = class_id
    return mask


def measure(predicted: Mask, true: Mask) -> MaskMetrics:
    metrics = MaskMetrics(NUM_CLASSES)
    metrics.add(predicted, true)
    return metrics


def test_counted_by_hand() -> None:
    true = np.array([[0, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
    predicted = np.array([[0, 1, 1, 1], [0, 0, 1, 0]], np.uint8)
    metrics = measure(predicted, true)
    assert metrics.iou[:2].tolist() == [3 / 5, 3 / 5]
    assert np.isnan(metrics.iou[2]), "a class that is neither there nor predicted has no share in the mean"
    assert metrics.mean_iou == pytest.approx(0.6)
    assert metrics.pixel_accuracy == pytest.approx(6 / 8)


def test_pictures_add_up() -> None:
    together = MaskMetrics(NUM_CLASSES)
    together.add(square(4, 4), square(4, 4))
    together.add(square(4, 4), square(20, 20))
    assert together.iou[1] == pytest.approx(64 / (64 + 64 + 64))


def test_what_is_the_same_is_perfect_and_what_is_elsewhere_is_not() -> None:
    same, elsewhere = measure(square(4, 4), square(4, 4)), measure(square(4, 4), square(20, 20))
    assert same.mean_iou == 1
    assert same.mean_boundary_f == 1
    assert elsewhere.boundary_f[1] == 0
    assert elsewhere.iou[1] == 0


def test_an_outline_may_be_off_by_the_tolerance_and_no_more() -> None:
    assert boundary_tolerance(32, 32) == 1
    assert measure(square(4, 5), square(4, 4)).boundary_f[1] == 1
    assert measure(square(4, 6), square(4, 4)).boundary_f[1] < 1


def test_tolerance_grows_with_the_picture() -> None:
    assert boundary_tolerance(480, 640) == 6


def test_the_right_outline_of_the_wrong_class_is_wrong() -> None:
    assert measure(square(4, 4, class_id=2), square(4, 4, class_id=1)).boundary_f[1:].tolist() == [0, 0]


def test_a_pixel_that_was_never_seen_is_wrong_where_the_truth_is_known() -> None:
    true, predicted = square(0, 0, side=32), square(0, 0, side=32)
    predicted[:16] = IGNORED
    metrics = measure(predicted, true)
    assert metrics.iou[1] == pytest.approx(0.5)
    assert metrics.confusion[1].tolist() == [0, 512, 0, 512]


def test_nothing_known_measures_nothing() -> None:
    blank = np.full((4, 4), IGNORED, np.uint8)
    metrics = measure(square(0, 0)[:4, :4], blank)
    assert (metrics.mean_iou, metrics.mean_boundary_f, metrics.pixel_accuracy) == (0, 0, 0)


@given(mask_pairs, st.sampled_from([0, 1, 2]))
def test_what_is_predicted_for_ignored_pixels_makes_no_difference(masks: tuple[Mask, Mask], filler: int) -> None:
    predicted, true = masks
    other = np.where(true == IGNORED, filler, predicted).astype(np.uint8)
    first, second = measure(predicted, true), measure(other, true)
    np.testing.assert_array_equal(first.confusion, second.confusion)
    np.testing.assert_array_equal(first.boundaries, second.boundaries)


@given(mask_pairs)
def test_pixels_are_counted_as_a_plain_loop_counts_them(masks: tuple[Mask, Mask]) -> None:
    predicted, true = masks
    counted = np.zeros((NUM_CLASSES, NUM_CLASSES + 1), np.int64)
    for guess, truth in zip(predicted.ravel().tolist(), true.ravel().tolist(), strict=True):
        if truth != IGNORED:
            counted[truth, min(guess, NUM_CLASSES)] += 1
    np.testing.assert_array_equal(count_pixels(predicted, true, NUM_CLASSES), counted)


@settings(max_examples=50)
@given(mask_pairs, st.integers(1, 3))
def test_nearness_is_what_a_plain_loop_finds(masks: tuple[Mask, Mask], radius: int) -> None:
    first, second = trace_outlines(masks[0]), trace_outlines(masks[1])
    near = np.zeros(NUM_CLASSES, np.int64)
    for (row, column), class_id in np.ndenumerate(first):
        if class_id != IGNORED:
            rows, columns = np.nonzero(second == class_id)
            near[class_id] += bool(np.any((rows - row) ** 2 + (columns - column) ** 2 <= radius**2))
    np.testing.assert_array_equal(count_near(first, second, radius, NUM_CLASSES)[1], near)


def test_a_disc_of_two_pixels() -> None:
    assert len(disc(1)) == 5
    assert len(disc(2)) == 13
