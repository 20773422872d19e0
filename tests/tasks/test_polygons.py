"""Outlines: filled again they give the region, rings are told apart by their direction, and only corners are points."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.label_grid import NOT_SEEN, original_grid, plain_grid
from tasks.placement import ImageSpec, place_image
from tasks.polygons import trace_labels
from tests.masks import masks


def filled(rings, height, width):
    """Even-odd, by the centres of pixels: how many upright edges lie to the left of each."""
    crossings = np.zeros((height, width + 1), int)
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        for (x, y), (next_x, next_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if x == next_x:
                crossings[min(y, next_y) : max(y, next_y), x] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def signed_area(ring):
    x, y = np.array(ring).reshape(-1, 2).T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


@given(masks(), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["stretch", "letterbox", "crop"]))
def test_filling_the_rings_gives_the_pixels_back(mask, height, width, fit):
    grid = original_grid(
        mask, place_image(height, width, ImageSpec(height=mask.shape[0], width=mask.shape[1], fit=fit))
    )
    pixels, traced = grid.pixels(), trace_labels(grid)
    assert list(traced) == [label for label in np.unique(pixels).tolist() if label != NOT_SEEN]
    for label, rings in traced.items():
        np.testing.assert_array_equal(filled(rings, height, width), pixels == label)
        # With holes negative, areas add up: the non-zero rule fills the same.
        assert sum(map(signed_area, rings)) == (pixels == label).sum()


@given(masks())
def test_points_are_corners_and_nothing_else(mask):
    for rings in trace_labels(plain_grid(mask)).values():
        for ring in rings:
            points = np.array(ring).reshape(-1, 2)
            steps = np.roll(points, -1, axis=0) - points
            assert ((steps != 0).sum(axis=1) == 1).all()
            assert ((steps != 0).argmax(axis=1) != (np.roll(steps, -1, axis=0) != 0).argmax(axis=1)).all()


def test_a_ring_with_a_hole_and_an_island_in_it():
    mask = np.zeros((7, 7), np.uint8)
    mask[1:6, 1:6], mask[2:5, 2:5], mask[3, 3] = 1, 0, 1
    outer, hole, island = trace_labels(plain_grid(mask))[1]
    assert outer == [1, 1, 6, 1, 6, 6, 1, 6]
    assert hole == [2, 2, 2, 5, 5, 5, 5, 2]
    assert island == [3, 3, 4, 3, 4, 4, 3, 4]
    assert [signed_area(ring) > 0 for ring in (outer, hole, island)] == [True, False, True]


def test_pixels_that_touch_at_a_corner_are_apart():
    mask = np.array([[1, 0], [0, 1]], np.uint8)
    assert [len(rings) for rings in trace_labels(plain_grid(mask)).values()] == [2, 2]


def test_a_straight_edge_over_many_pixels_is_two_points():
    assert trace_labels(plain_grid(np.zeros((500, 700), np.uint8))) == {0: [[0, 0, 700, 0, 700, 500, 0, 500]]}
